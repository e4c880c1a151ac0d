import type { Group, Overlaps } from "./groups.js";
import type { EvalParams, GroundTruth } from "./types.js";

/** What came of one class's detections, image by image; D of them in all. */
export interface ClassMatches {
  /** Places in `results`. */
  readonly results: Int32Array;
  /** Place by score in its image, from 0. */
  readonly ranks: Int32Array;
  /** `[areas][D]`: bit t is set where the detection matches an object at threshold t. */
  readonly matched: readonly Uint32Array[];
  /** `[areas][D]`: bit t is set where it counts neither way. */
  readonly ignored: readonly Uint32Array[];
  /** `[areas]`: objects to be found. */
  readonly objects: readonly number[];
  /** `[D]` overlap with the object that it matches at the first threshold, over all sizes; 0 for none */
  readonly overlaps: Float64Array;
}

/** Objects by place: what matching asks of them, as columns. */
class Columns {
  readonly area: Float64Array;
  readonly crowd: Uint8Array;
  /** pycocotools notes a matched object's id, and reads 0 as none. */
  readonly nameless: Uint8Array;

  constructor({ annotations }: GroundTruth) {
    this.area = Float64Array.from(annotations, ({ area }) => area);
    this.crowd = Uint8Array.from(annotations, ({ iscrowd }) => (iscrowd === 1 ? 1 : 0));
    this.nameless = Uint8Array.from(annotations, ({ id }) => (id === 0 ? 1 : 0));
  }
}

/** Matches detections of groups with their objects; its working space is reused. */
export class Matcher {
  readonly #columns: Columns;
  #overlaps = new Float64Array(1024);
  #taken = new Uint8Array(64);
  /** Objects of a group, those that count first, in the file's order within each kind; and how many count. */
  #order = new Int32Array(64);
  #counting = 0;
  #outside = new Uint8Array(128);

  constructor(
    truth: GroundTruth,
    readonly overlaps: Overlaps,
    readonly params: EvalParams,
  ) {
    this.#columns = new Columns(truth);
  }

  /** Matches the detections of all groups of a class (COCO's greedy rule) at all thresholds and sizes. */
  match(groups: readonly Group[]): ClassMatches {
    const total = groups.reduce((sum, { results }) => sum + results.length, 0);
    const made = (): Uint32Array[] => this.params.areas.map(() => new Uint32Array(total));
    const out = {
      results: new Int32Array(total),
      ranks: new Int32Array(total),
      matched: made(),
      ignored: made(),
      objects: this.params.areas.map(() => 0),
      overlaps: new Float64Array(total),
    };
    let first = 0;
    for (const group of groups) {
      const { results } = group;
      for (let rank = 0; rank < results.length; rank++) {
        out.results[first + rank] = results[rank] as number;
        out.ranks[first + rank] = rank;
      }
      this.#matchGroup(group, first, out);
      first += results.length;
    }
    return out;
  }

  #matchGroup(group: Group, first: number, out: ClassMatches & { objects: number[] }): void {
    const { objects, results } = group;
    const { areas, iouThresholds } = this.params;
    this.#reserve(objects.length, results.length);
    if (results.length > 0 && objects.length > 0) this.overlaps.fill(group, this.#overlaps);
    for (let area = 0; area < areas.length; area++) {
      const [, least, most] = areas[area] as EvalParams["areas"][number];
      this.#sortObjects(objects, least, most);
      out.objects[area] = (out.objects[area] as number) + this.#counting;
      for (let d = 0; d < results.length; d++) {
        const size = this.overlaps.areaOfResult(results[d] as number);
        this.#outside[d] = size < least || size > most ? 1 : 0;
      }
      if (objects.length === 0) {
        const all = 2 ** iouThresholds.length - 1;
        const ignored = out.ignored[area] as Uint32Array;
        for (let d = 0; d < results.length; d++) if (this.#outside[d] === 1) ignored[first + d] = all;
        continue;
      }
      for (let t = 0; t < iouThresholds.length; t++) this.#matchAt(group, first, area, t, out);
    }
  }

  #reserve(objects: number, results: number): void {
    if (objects * results > this.#overlaps.length) this.#overlaps = new Float64Array(2 * objects * results);
    if (results > this.#outside.length) this.#outside = new Uint8Array(2 * results);
    if (objects <= this.#order.length) return;
    this.#order = new Int32Array(2 * objects);
    this.#taken = new Uint8Array(2 * objects);
  }

  #sortObjects(objects: readonly number[], least: number, most: number): void {
    const { area, crowd } = this.#columns;
    const counts = (place: number): boolean => {
      const size = area[place] as number;
      return crowd[place] === 0 && size >= least && size <= most;
    };
    let n = 0;
    for (let i = 0; i < objects.length; i++) if (counts(objects[i] as number)) this.#order[n++] = i;
    this.#counting = n;
    for (let i = 0; i < objects.length; i++) if (!counts(objects[i] as number)) this.#order[n++] = i;
  }

  /** One threshold and size: each detection, surest first, takes the free object that it overlaps most. */
  #matchAt({ objects, results }: Group, first: number, area: number, t: number, out: ClassMatches): void {
    const count = objects.length;
    const least = Math.min(this.params.iouThresholds[t] as number, 1 - 1e-10);
    const { crowd, nameless } = this.#columns;
    const matched = out.matched[area] as Uint32Array;
    const ignored = out.ignored[area] as Uint32Array;
    const bit = 1 << t;
    this.#taken.fill(0, 0, count);
    for (let d = 0; d < results.length; d++) {
      let best = least;
      let match = -1;
      for (let k = 0; k < count; k++) {
        // Once an object that counts is found, those that do not are not looked at.
        if (k === this.#counting && match >= 0) break;
        const object = this.#order[k] as number;
        const overlap = this.#overlaps[d * count + object] as number;
        if (overlap < best) continue;
        if (this.#taken[object] === 1 && crowd[objects[object] as number] === 0) continue;
        best = overlap;
        match = k;
      }
      const at = first + d;
      if (match < 0) {
        if (this.#outside[d] === 1) ignored[at] = (ignored[at] as number) | bit;
        continue;
      }
      const object = this.#order[match] as number;
      this.#taken[object] = 1;
      const named = nameless[objects[object] as number] === 0;
      if (named) matched[at] = (matched[at] as number) | bit;
      if (match >= this.#counting || (!named && this.#outside[d] === 1))
        ignored[at] = (ignored[at] as number) | bit;
      if (area === 0 && t === 0) out.overlaps[at] = best;
    }
  }
}
