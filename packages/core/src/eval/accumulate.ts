import type { Cells } from "./cells.js";
import type { Matches } from "./match.js";
import type { EvalParams } from "./types.js";

/** numpy's spacing of 1: keeps 0 / 0 from happening, in the last digit of precisions. */
const spacing = 2 ** -52;

/** Curves of all classes; -1 where a class has no objects. T thresholds, R recalls, K classes, A sizes, M numbers. */
export interface Curves {
  /** `[T, R, K, A, M]` */
  readonly precision: Float64Array;
  /** `[T, R, K, A, M]` score at that point */
  readonly scores: Float64Array;
  /** `[T, K, A, M]` */
  readonly recall: Float64Array;
  readonly shape: readonly [T: number, R: number, K: number, A: number, M: number];
}

/** Detections of one class, surest first, those that are counted of their image: what a sweep reads, side by side. */
interface Column {
  readonly count: number;
  readonly place: Int32Array;
  readonly rank: Int32Array;
  readonly row: Int32Array;
  readonly outside: Uint32Array;
  /** Largest rank. */
  readonly deepest: number;
}

function columnOf(order: Int32Array, matches: Matches, most: number): Column {
  const count = order.length;
  const place = new Int32Array(count);
  const rank = new Int32Array(count);
  const row = new Int32Array(count);
  const outside = new Uint32Array(count);
  let deepest = 0;
  let n = 0;
  for (let i = 0; i < count; i++) {
    const one = order[i] as number;
    const own = matches.rank[one] as number;
    if (own >= most) continue;
    place[n] = one;
    rank[n] = own;
    row[n] = matches.active[one] as number;
    outside[n++] = matches.outside[one] as number;
    if (own > deepest) deepest = own;
  }
  return { count: n, place, rank, row, outside, deepest };
}

/** One class's true positives at each threshold, surest first; all other detections only thin them out. */
class Sweep {
  /** `[T, most]` precision after each true positive, and the detection's place. */
  readonly precision: Float64Array;
  readonly place: Int32Array;
  /** `[T]` */
  readonly tp: Int32Array;
  /** `[T]` false positives among detections that overlap an object enough for some threshold. */
  readonly #fp: Int32Array;
  /** Place of the very first detection, -1 without any. */
  first = -1;

  constructor(
    readonly matches: Matches,
    readonly thresholds: number,
    readonly areas: number,
    readonly most: number,
  ) {
    this.precision = new Float64Array(thresholds * most);
    this.place = new Int32Array(thresholds * most);
    this.tp = new Int32Array(thresholds);
    this.#fp = new Int32Array(thresholds);
  }

  /** Runs down the detections of a class for one size, each image's first `most`. */
  run({ count, place, rank, row, outside }: Column, area: number, most: number): void {
    this.tp.fill(0);
    this.#fp.fill(0);
    this.first = -1;
    // False positives that overlap nothing are so at every threshold.
    let wrong = 0;
    for (let i = 0; i < count; i++) {
      if ((rank[i] as number) >= most) continue;
      if (this.first < 0) this.first = place[i] as number;
      if ((row[i] as number) < 0) wrong += (((outside[i] as number) >>> area) & 1) ^ 1;
      else this.#count((row[i] as number) * this.areas + area, wrong, place[i] as number);
    }
    for (let t = 0; t < this.thresholds; t++) this.#envelope(t);
  }

  #count(at: number, wrong: number, place: number): void {
    const matched = this.matches.matched[at] as number;
    const ignored = this.matches.ignored[at] as number;
    for (let t = 0; t < this.thresholds; t++) {
      if (((ignored >>> t) & 1) === 1) continue;
      if (((matched >>> t) & 1) === 0) {
        this.#fp[t] = (this.#fp[t] as number) + 1;
        continue;
      }
      const n = (this.tp[t] as number) + 1;
      this.tp[t] = n;
      this.precision[t * this.most + n - 1] = n / (n + wrong + (this.#fp[t] as number) + spacing);
      this.place[t * this.most + n - 1] = place;
    }
  }

  /** Precision at a recall is the best at that recall or a higher one. */
  #envelope(t: number): void {
    const first = t * this.most;
    for (let i = first + (this.tp[t] as number) - 1; i > first; i--)
      if ((this.precision[i] as number) > (this.precision[i - 1] as number))
        this.precision[i - 1] = this.precision[i] as number;
  }
}

/** Precision at fixed recalls of every class, threshold, size and number of detections. */
export function accumulate(cells: Cells, matches: Matches, scores: Float64Array, params: EvalParams): Curves {
  const { iouThresholds, recallThresholds, areas, maxDets } = params;
  const shape = [
    iouThresholds.length,
    recallThresholds.length,
    cells.classes,
    areas.length,
    maxDets.length,
  ] as const;
  const [T, R, K, A, M] = shape;
  const curves: Curves = {
    precision: new Float64Array(T * R * K * A * M).fill(-1),
    scores: new Float64Array(T * R * K * A * M).fill(-1),
    recall: new Float64Array(T * K * A * M).fill(-1),
    shape,
  };
  // A true positive has an object of its own.
  const most = matches.objects.reduce((x, y) => Math.max(x, y), 0);
  const sweep = new Sweep(matches, T, A, most);
  for (let k = 0; k < K; k++) {
    const order = cells.byClass.subarray(cells.classStart[k], cells.classStart[k + 1]);
    const column = columnOf(order, matches, maxDets.at(-1) as number);
    for (let a = 0; a < A; a++) {
      const objects = matches.objects[k * A + a] as number;
      if (objects === 0) continue;
      for (let m = 0; m < M; m++) {
        // Where no image has more detections than the number before, nothing changes.
        if (m === 0 || column.deepest >= (maxDets[m - 1] as number))
          sweep.run(column, a, maxDets[m] as number);
        for (let t = 0; t < T; t++) sample(sweep, { t, k, a, m, objects }, scores, recallThresholds, curves);
      }
    }
  }
  return curves;
}

interface Slice {
  readonly t: number;
  readonly k: number;
  readonly a: number;
  readonly m: number;
  readonly objects: number;
}

/** Reads one curve at the fixed recalls. */
function sample(
  sweep: Sweep,
  { t, k, a, m, objects }: Slice,
  scores: Float64Array,
  recalls: readonly number[],
  curves: Curves,
): void {
  const [, R, K, A, M] = curves.shape;
  const n = sweep.tp[t] as number;
  const first = t * sweep.most;
  const step = K * A * M;
  let at = t * R * step + (k * A + a) * M + m;
  curves.recall[((t * K + k) * A + a) * M + m] = n / objects;
  for (let r = 0, i = 0; r < R; r++, at += step) {
    const wanted = recalls[r] as number;
    while (i < n && (i + 1) / objects < wanted) i++;
    curves.precision[at] = i < n ? (sweep.precision[first + i] as number) : 0;
    // A recall of 0 is reached before anything is found.
    const place = wanted <= 0 ? sweep.first : i < n ? (sweep.place[first + i] as number) : -1;
    curves.scores[at] = place < 0 ? 0 : (scores[place] as number);
  }
}
