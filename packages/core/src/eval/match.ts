import type { Cells } from "./cells.js";
import type { TruthColumns } from "./columns.js";
import type { Overlaps } from "./overlaps.js";
import type { EvalParams } from "./types.js";

/**
 * What came of every detection. Most overlap nothing enough: `active` is -1 for those, and they match nothing at any
 * threshold. The others have rows in `matched` and `ignored`.
 */
export interface Matches {
  /** `[D]` place by score in its cell, from 0; all beyond the largest of maxDets were left out. */
  readonly rank: Int32Array;
  /** `[D]` bit a is set where the area is outside of size class a. */
  readonly outside: Uint32Array;
  /** `[D]` row, or -1 */
  readonly active: Int32Array;
  /** `[rows, A]` bit t is set where the detection matches an object at threshold t. */
  readonly matched: Uint32Array;
  /** `[rows, A]` bit t is set where it counts neither way. */
  readonly ignored: Uint32Array;
  /** `[K, A]` objects to be found */
  readonly objects: Int32Array;
}

/** COCO's greedy matching, for all thresholds at once: thresholds are bits. */
class Matcher {
  readonly rank: Int32Array;
  readonly outside: Uint32Array;
  readonly active: Int32Array;
  matched = new Uint32Array(4096);
  ignored = new Uint32Array(4096);
  #rows = 0;
  /** `[objects]` bit a is set where the object does not count in size class a. */
  readonly #aside: Uint32Array;
  readonly #thresholds: readonly number[];
  readonly #least: number;
  readonly #areas: number;
  readonly #all: number;
  readonly #overlaps: Float64Array;
  /** `[A, objects of a cell]` bit t is set where a detection has the object at threshold t. */
  readonly #taken: Uint32Array;
  /** Objects that the detection at hand overlaps enough, the most overlapped first; and where they pass. */
  readonly #candidates: Int32Array;
  readonly #passed: Uint32Array;

  constructor(
    readonly truth: TruthColumns,
    readonly cells: Cells,
    readonly source: Overlaps,
    { areas, iouThresholds }: EvalParams,
    largestCell: number,
  ) {
    const count = source.resultArea.length;
    this.rank = new Int32Array(count);
    this.active = new Int32Array(count).fill(-1);
    this.outside = bitsOutside(source.resultArea, areas);
    this.#aside = bitsOutside(truth.area, areas);
    this.#areas = areas.length;
    this.#all = 2 ** iouThresholds.length - 1;
    for (let i = 0; i < truth.count; i++) if (truth.crowd[i] === 1) this.#aside[i] = 2 ** areas.length - 1;
    this.#thresholds = iouThresholds.map((iou) => Math.min(iou, 1 - 1e-10));
    this.#least = Math.min(...this.#thresholds);
    this.#overlaps = new Float64Array(largestCell);
    this.#taken = new Uint32Array(areas.length * largestCell);
    this.#candidates = new Int32Array(largestCell);
    this.#passed = new Uint32Array(largestCell);
  }

  /** Objects that count, by class and size class. */
  countObjects(): Int32Array {
    const { classes, images, objects, objectStart } = this.cells;
    const counts = new Int32Array(classes * this.#areas);
    for (let k = 0; k < classes; k++)
      for (let i = objectStart[k * images] as number; i < (objectStart[(k + 1) * images] as number); i++) {
        const aside = this.#aside[objects[i] as number] as number;
        for (let a = 0; a < this.#areas; a++)
          if (((aside >>> a) & 1) === 0)
            counts[k * this.#areas + a] = (counts[k * this.#areas + a] as number) + 1;
      }
    return counts;
  }

  matchCell(cell: number, most: number): void {
    const { objects, objectStart, results, resultStart } = this.cells;
    const first = objectStart[cell] as number;
    const end = objectStart[cell + 1] as number;
    const from = resultStart[cell] as number;
    const to = resultStart[cell + 1] as number;
    for (let i = from; i < to; i++) this.rank[results[i] as number] = i - from;
    if (first === end) return;
    this.#taken.fill(0, 0, this.#areas * (end - first));
    for (let i = from; i < Math.min(to, from + most); i++) {
      const detection = results[i] as number;
      if (!this.source.row(detection, objects, first, end, this.#overlaps) && this.#least > 0) continue;
      const candidates = this.#gather(end - first);
      if (candidates > 0) this.#take(detection, first, end - first, candidates);
    }
  }

  /** Candidates by overlap, the later object first between equals. */
  #gather(count: number): number {
    const [overlaps, candidates] = [this.#overlaps, this.#candidates];
    let n = 0;
    for (let object = 0; object < count; object++) {
      const overlap = overlaps[object] as number;
      if (overlap < this.#least) continue;
      let at = n++;
      for (; at > 0 && (overlaps[candidates[at - 1] as number] as number) <= overlap; at--)
        candidates[at] = candidates[at - 1] as number;
      candidates[at] = object;
    }
    for (let c = 0; c < n; c++) {
      const overlap = overlaps[candidates[c] as number] as number;
      let bits = 0;
      for (let t = 0; t < this.#thresholds.length; t++)
        if (overlap >= (this.#thresholds[t] as number)) bits |= 1 << t;
      this.#passed[c] = bits;
    }
    return n;
  }

  /** At each threshold the detection takes the free candidate that comes first, those that count before the others. */
  #take(detection: number, first: number, count: number, candidates: number): void {
    const row = this.#newRow(detection);
    const { crowd, id } = this.truth;
    for (let a = 0; a < this.#areas; a++) {
      let wanting = this.#all;
      let matched = 0;
      let ignored = 0;
      const outside = (((this.outside[detection] as number) >>> a) & 1) === 1;
      for (let aside = 0; aside < 2; aside++)
        for (let c = 0; c < candidates && wanting !== 0; c++) {
          const own = this.#candidates[c] as number;
          const object = this.cells.objects[first + own] as number;
          if ((((this.#aside[object] as number) >>> a) & 1) !== aside) continue;
          const at = a * count + own;
          const taken = this.#taken[at] as number;
          const free = (this.#passed[c] as number) & wanting & (crowd[object] === 1 ? -1 : ~taken);
          this.#taken[at] = taken | free;
          wanting &= ~free;
          // pycocotools notes a matched object's id, and reads 0 as none.
          const named = id[object] !== 0;
          if (named) matched |= free;
          if (aside === 1 || (!named && outside)) ignored |= free;
        }
      if (outside) ignored |= wanting;
      this.matched[row * this.#areas + a] = matched;
      this.ignored[row * this.#areas + a] = ignored;
    }
  }

  #newRow(detection: number): number {
    const row = this.#rows++;
    this.active[detection] = row;
    if ((row + 1) * this.#areas > this.matched.length) {
      this.matched = grown(this.matched);
      this.ignored = grown(this.ignored);
    }
    return row;
  }
}

function grown(old: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const made = new Uint32Array(2 * old.length + 64);
  made.set(old);
  return made;
}

/** Bit a is set where a size is outside of range a. */
function bitsOutside(sizes: Float64Array, areas: EvalParams["areas"]): Uint32Array {
  const bits = new Uint32Array(sizes.length);
  for (let a = 0; a < areas.length; a++) {
    const [, least, most] = areas[a] as EvalParams["areas"][number];
    const bit = 1 << a;
    for (let i = 0; i < sizes.length; i++) {
      const size = sizes[i] as number;
      if (size < least || size > most) bits[i] = (bits[i] as number) | bit;
    }
  }
  return bits;
}

/** Matches the detections of all cells with their objects, at all thresholds and for all size classes. */
export function matchCells(
  truth: TruthColumns,
  cells: Cells,
  overlaps: Overlaps,
  params: EvalParams,
): Matches {
  const { objectStart, resultStart } = cells;
  let largest = 0;
  for (let c = 0; c + 1 < objectStart.length; c++)
    largest = Math.max(largest, (objectStart[c + 1] as number) - (objectStart[c] as number));
  const matcher = new Matcher(truth, cells, overlaps, params, largest);
  const most = params.maxDets.at(-1) as number;
  for (let c = 0; c + 1 < resultStart.length; c++)
    if (resultStart[c] !== resultStart[c + 1]) matcher.matchCell(c, most);
  const { rank, outside, active, matched, ignored } = matcher;
  return { rank, outside, active, matched, ignored, objects: matcher.countObjects() };
}
