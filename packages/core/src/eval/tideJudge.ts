import type { ByImage } from "./pairs.js";

/** TIDE's six kinds of errors, in the order of the paper. */
export const errorKinds = [
  "classification",
  "localization",
  "both",
  "duplicate",
  "background",
  "missed",
] as const;

export type ErrorKind = (typeof errorKinds)[number];

export const right = 1;
export const wrong = 0;
/** In a crowd: not counted, but still an error that could be mended. */
export const ignored = -1;
/** Beyond the number of an image's detections that count. */
export const absent = -2;

const kindAt = (kind: ErrorKind): number => errorKinds.indexOf(kind);

/** What became of detections and objects. */
interface Verdict {
  /** `[D]` right, wrong, ignored or absent */
  readonly outcome: Int8Array;
  /** `[D]` kind of error, -1 for none */
  readonly kind: Int8Array;
  /** `[D]` free object that the detection would have with its error mended, -1 for none */
  readonly target: Int32Array;
  /** `[G]` 1 where a detection has the object */
  readonly taken: Uint8Array;
  /** `[G]` surest detection that would have the object with its error mended, -1 for none */
  readonly claimant: Int32Array;
}

interface Bounds {
  readonly foreground: number;
  readonly background: number;
}

/** Tells right detections from wrong ones, and says what is wrong with those, image by image. */
export class ImageJudge {
  /** `[detections, objects]` of the image at hand */
  #overlaps = new Float64Array(0);
  readonly verdict: Verdict;

  constructor(
    readonly data: ByImage,
    readonly bounds: Bounds,
  ) {
    this.verdict = {
      outcome: new Int8Array(data.results.count).fill(absent),
      kind: new Int8Array(data.results.count).fill(-1),
      target: new Int32Array(data.results.count).fill(-1),
      taken: new Uint8Array(data.truth.count),
      claimant: new Int32Array(data.truth.count).fill(-1),
    };
  }

  judge(image: number, most: number): void {
    const { cells, overlaps, truth } = this.data;
    const objects = cells.objects.subarray(cells.objectStart[image], cells.objectStart[image + 1]);
    const all = cells.results.subarray(cells.resultStart[image], cells.resultStart[image + 1]);
    const detections = all.subarray(0, most);
    const size = objects.length;
    if (detections.length * size > this.#overlaps.length)
      this.#overlaps = new Float64Array(2 * detections.length * size);
    for (const [d, detection] of detections.entries()) {
      const row = this.#overlaps.subarray(d * size, (d + 1) * size);
      overlaps.row(detection, objects, 0, size, row);
      this.#match(detection, objects, row);
    }
    // Kinds of errors depend on which objects were taken in the end.
    const empty = objects.every((object) => truth.crowd[object] === 1);
    for (const [d, detection] of detections.entries())
      if (this.verdict.outcome[detection] !== right)
        this.#explain(detection, objects, this.#overlaps.subarray(d * size, (d + 1) * size), empty);
  }

  #match(detection: number, objects: Int32Array, row: Float64Array): void {
    const { truth, objectClass, resultClass } = this.data;
    const { taken, outcome } = this.verdict;
    const label = resultClass[detection] as number;
    let best = 0;
    let match = -1;
    let inCrowd = false;
    for (let i = 0; i < objects.length; i++) {
      const object = objects[i] as number;
      const overlap = row[i] as number;
      if (objectClass[object] !== label) continue;
      if (truth.crowd[object] === 1) inCrowd ||= overlap > this.bounds.foreground;
      else if (taken[object] === 0 && overlap > best) {
        best = overlap;
        match = object;
      }
    }
    if (match >= 0 && best >= this.bounds.foreground) {
      taken[match] = 1;
      outcome[detection] = right;
    } else outcome[detection] = inCrowd ? ignored : wrong;
  }

  /** The paper's section 2.2; the first kind that fits, in the order of its authors' code. */
  #explain(detection: number, objects: Int32Array, row: Float64Array, empty: boolean): void {
    const { truth, objectClass, resultClass } = this.data;
    const { taken, kind } = this.verdict;
    const { foreground, background } = this.bounds;
    let [own, other, used] = [0, 0, 0];
    let [ownObject, otherObject] = [-1, -1];
    for (let i = 0; i < objects.length; i++) {
      const object = objects[i] as number;
      const overlap = row[i] as number;
      if (truth.crowd[object] === 1) continue;
      if (objectClass[object] === resultClass[detection]) {
        if (overlap > own) [own, ownObject] = [overlap, object];
        if (taken[object] === 1) used = Math.max(used, overlap);
      } else if (overlap > other) [other, otherObject] = [overlap, object];
    }
    const set = (found: ErrorKind, target = -1): void => {
      kind[detection] = kindAt(found);
      if (target >= 0 && taken[target] === 0) this.#claim(detection, target);
    };
    if (empty) set("background");
    else if (own >= background && own <= foreground) set("localization", ownObject);
    else if (other >= foreground) set("classification", otherObject);
    else if (used >= foreground) set("duplicate");
    else if (Math.max(own, other) <= background) set("background");
    else set("both");
  }

  /** Only the surest of those that want an object would have it. */
  #claim(detection: number, object: number): void {
    const { target, claimant } = this.verdict;
    const { score } = this.data.results;
    target[detection] = object;
    const before = claimant[object] as number;
    if (before < 0 || (score[before] as number) < (score[detection] as number)) claimant[object] = detection;
  }
}
