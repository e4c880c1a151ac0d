import type { ClassMatches } from "./match.js";
import type { EvalParams, Result } from "./types.js";

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

/** Places of a class's detections by score, surest first; equal ones as they come. */
function byScore(matches: ClassMatches, results: readonly Result[]): Int32Array {
  const scores = Float64Array.from(matches.results, (place) => (results[place] as Result).score);
  const order = Int32Array.from(scores, (_, i) => i);
  return order.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
}

interface Sweep {
  readonly order: Int32Array;
  readonly tp: Float64Array;
  readonly precision: Float64Array;
  readonly place: Int32Array;
}

/** Runs down one class's detections at one threshold, size and number; returns how many counted. */
function sweep(matches: ClassMatches, { area, t, most }: { area: number; t: number; most: number }, space: Sweep): number {
  const matched = matches.matched[area] as Uint32Array;
  const ignored = matches.ignored[area] as Uint32Array;
  const bit = 1 << t;
  let [tp, fp, n] = [0, 0, 0];
  for (const place of space.order) {
    if ((matches.ranks[place] as number) >= most) continue;
    const counts = ((ignored[place] as number) & bit) === 0;
    const hit = ((matched[place] as number) & bit) !== 0;
    if (counts) hit ? tp++ : fp++;
    space.tp[n] = tp;
    space.precision[n] = tp / (fp + tp + spacing);
    space.place[n] = place;
    n++;
  }
  for (let i = n - 1; i > 0; i--) {
    if ((space.precision[i] as number) > (space.precision[i - 1] as number))
      space.precision[i - 1] = space.precision[i] as number;
  }
  return n;
}

/** Precision at fixed recalls of every class, threshold, size and number of detections. */
export function accumulate(classes: readonly ClassMatches[], results: readonly Result[], params: EvalParams): Curves {
  const { iouThresholds, recallThresholds, areas, maxDets } = params;
  const [T, R, K, A, M] = [iouThresholds.length, recallThresholds.length, classes.length, areas.length, maxDets.length];
  const precision = new Float64Array(T * R * K * A * M).fill(-1);
  const scores = new Float64Array(T * R * K * A * M).fill(-1);
  const recall = new Float64Array(T * K * A * M).fill(-1);
  for (const [k, matches] of classes.entries()) {
    const order = byScore(matches, results);
    const count = order.length;
    const space: Sweep = {
      order,
      tp: new Float64Array(count),
      precision: new Float64Array(count),
      place: new Int32Array(count),
    };
    for (let a = 0; a < A; a++) {
      const objects = matches.objects[a] as number;
      if (objects === 0) continue;
      for (let m = 0; m < M; m++) {
        for (let t = 0; t < T; t++) {
          const n = sweep(matches, { area: a, t, most: maxDets[m] as number }, space);
          recall[((t * K + k) * A + a) * M + m] = n > 0 ? (space.tp[n - 1] as number) / objects : 0;
          let i = 0;
          for (let r = 0; r < R; r++) {
            const wanted = recallThresholds[r] as number;
            while (i < n && (space.tp[i] as number) / objects < wanted) i++;
            const at = (((t * R + r) * K + k) * A + a) * M + m;
            precision[at] = i < n ? (space.precision[i] as number) : 0;
            scores[at] = i < n ? (results[matches.results[space.place[i] as number] as number] as Result).score : 0;
          }
        }
      }
    }
  }
  return { precision, scores, recall, shape: [T, R, K, A, M] };
}
