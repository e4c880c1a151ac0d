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

/** Working space of one group, reused. */
interface Bench {
  overlaps: Float64Array;
  taken: Int32Array;
}

/** Objects of a group, those that count first, in the file's order within each kind. */
function order(group: Group, truth: GroundTruth, least: number, most: number): { objects: Int32Array; counting: number } {
  const counts: number[] = [];
  const others: number[] = [];
  for (const [i, place] of group.objects.entries()) {
    const { area, iscrowd } = truth.annotations[place] as GroundTruth["annotations"][number];
    (iscrowd === 1 || area < least || area > most ? others : counts).push(i);
  }
  return { objects: Int32Array.from([...counts, ...others]), counting: counts.length };
}

/** Matches the detections of all groups of a class (COCO's greedy rule) at all thresholds and sizes. */
export function matchClass(groups: readonly Group[], truth: GroundTruth, overlaps: Overlaps, params: EvalParams): ClassMatches {
  const total = groups.reduce((sum, { results }) => sum + results.length, 0);
  const made = (): Uint32Array[] => params.areas.map(() => new Uint32Array(total));
  const out = {
    results: new Int32Array(total),
    ranks: new Int32Array(total),
    matched: made(),
    ignored: made(),
    objects: params.areas.map(() => 0),
    overlaps: new Float64Array(total),
  };
  const bench: Bench = { overlaps: new Float64Array(1024), taken: new Int32Array(64) };
  let first = 0;
  for (const group of groups) {
    for (const [rank, result] of group.results.entries()) {
      out.results[first + rank] = result;
      out.ranks[first + rank] = rank;
    }
    matchGroup(group, first, truth, overlaps, params, bench, out);
    first += group.results.length;
  }
  return out;
}

function matchGroup(
  group: Group,
  first: number,
  truth: GroundTruth,
  overlaps: Overlaps,
  params: EvalParams,
  bench: Bench,
  out: ClassMatches,
): void {
  const { objects, results } = group;
  const cells = objects.length * results.length;
  if (cells > bench.overlaps.length) bench.overlaps = new Float64Array(2 * cells);
  if (objects.length > bench.taken.length) bench.taken = new Int32Array(2 * objects.length);
  overlaps.fill(group, bench.overlaps);
  for (const [area, [, least, most]] of params.areas.entries()) {
    const ordered = order(group, truth, least, most);
    (out.objects as number[])[area] = (out.objects[area] as number) + ordered.counting;
    const outside = results.map((result) => {
      const size = overlaps.areaOfResult(result);
      return size < least || size > most;
    });
    for (let t = 0; t < params.iouThresholds.length; t++)
      matchAt(group, first, { area, t }, ordered, outside, truth, params, bench, out);
  }
}

/** One threshold and size: each detection, surest first, takes the free object that it overlaps most. */
function matchAt(
  { objects, results }: Group,
  first: number,
  { area, t }: { area: number; t: number },
  ordered: { objects: Int32Array; counting: number },
  outside: readonly boolean[],
  truth: GroundTruth,
  params: EvalParams,
  { overlaps, taken }: Bench,
  out: ClassMatches,
): void {
  const count = objects.length;
  const least = Math.min(params.iouThresholds[t] as number, 1 - 1e-10);
  const matched = out.matched[area] as Uint32Array;
  const ignored = out.ignored[area] as Uint32Array;
  const bit = 1 << t;
  taken.fill(0, 0, count);
  for (let d = 0; d < results.length; d++) {
    let best = least;
    let match = -1;
    const row = d * count;
    for (let k = 0; k < count; k++) {
      // Once an object that counts is found, those that do not are not looked at.
      if (k === ordered.counting && match >= 0) break;
      const object = ordered.objects[k] as number;
      const overlap = overlaps[row + object] as number;
      if (overlap < best) continue;
      if (taken[object] === 1 && truth.annotations[objects[object] as number]?.iscrowd !== 1) continue;
      best = overlap;
      match = k;
    }
    if (match >= 0) {
      const object = ordered.objects[match] as number;
      taken[object] = 1;
      // pycocotools notes the object's id, and reads 0 as none.
      const hasId = truth.annotations[objects[object] as number]?.id !== 0;
      if (hasId) matched[first + d] = (matched[first + d] as number) | bit;
      if (match >= ordered.counting) ignored[first + d] = (ignored[first + d] as number) | bit;
      if (!hasId && outside[d]) ignored[first + d] = (ignored[first + d] as number) | bit;
      if (area === 0 && t === 0) out.overlaps[first + d] = best;
    } else if (outside[d]) ignored[first + d] = (ignored[first + d] as number) | bit;
  }
}
