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

/** One class's true positives at each threshold, surest first; all other detections only thin them out. */
class Sweep {
  /** `[T]` lists: precision after each true positive, and its place. */
  readonly precision: Float64Array[];
  readonly place: Int32Array[];
  readonly tp: Int32Array;
  /** Place of the very first detection, -1 without any. */
  first = -1;

  constructor(
    readonly matches: ClassMatches,
    readonly order: Int32Array,
    thresholds: number,
    most: number,
  ) {
    this.precision = Array.from({ length: thresholds }, () => new Float64Array(most));
    this.place = Array.from({ length: thresholds }, () => new Int32Array(most));
    this.tp = new Int32Array(thresholds);
  }

  /** Runs down the detections for one size, each image's first `most`. */
  run(area: number, most: number): void {
    const { ranks } = this.matches;
    const matched = this.matches.matched[area] as Uint32Array;
    const ignored = this.matches.ignored[area] as Uint32Array;
    const left = new Int32Array(this.tp.length);
    this.tp.fill(0);
    this.first = -1;
    let seen = 0;
    for (let i = 0; i < this.order.length; i++) {
      const place = this.order[i] as number;
      if ((ranks[place] as number) >= most) continue;
      if (this.first < 0) this.first = place;
      seen++;
      const [hit, out] = [matched[place] as number, ignored[place] as number];
      if (hit === 0 && out === 0) continue;
      for (let t = 0; t < left.length; t++) {
        const bit = 1 << t;
        if ((out & bit) !== 0) left[t] = (left[t] as number) + 1;
        else if ((hit & bit) !== 0) this.#found(t, seen - (left[t] as number), place);
      }
    }
    for (let t = 0; t < left.length; t++) this.#envelope(t);
  }

  #found(t: number, counted: number, place: number): void {
    const n = this.tp[t] as number;
    (this.precision[t] as Float64Array)[n] = (n + 1) / (counted + spacing);
    (this.place[t] as Int32Array)[n] = place;
    this.tp[t] = n + 1;
  }

  /** Precision at a recall is the best at that recall or a higher one. */
  #envelope(t: number): void {
    const precision = this.precision[t] as Float64Array;
    for (let i = (this.tp[t] as number) - 1; i > 0; i--)
      if ((precision[i] as number) > (precision[i - 1] as number)) precision[i - 1] = precision[i] as number;
  }
}

/** Precision at fixed recalls of every class, threshold, size and number of detections. */
export function accumulate(
  classes: readonly ClassMatches[],
  results: readonly Result[],
  params: EvalParams,
): Curves {
  const { iouThresholds, recallThresholds, areas, maxDets } = params;
  const [T, R, K, A, M] = [
    iouThresholds.length,
    recallThresholds.length,
    classes.length,
    areas.length,
    maxDets.length,
  ];
  const precision = new Float64Array(T * R * K * A * M).fill(-1);
  const scores = new Float64Array(T * R * K * A * M).fill(-1);
  const recall = new Float64Array(T * K * A * M).fill(-1);
  const scoreOf = (matches: ClassMatches, place: number): number =>
    (results[matches.results[place] as number] as Result).score;
  for (const [k, matches] of classes.entries()) {
    const sweep = new Sweep(matches, byScore(matches, results), T, matches.results.length);
    for (let a = 0; a < A; a++) {
      const objects = matches.objects[a] as number;
      if (objects === 0) continue;
      for (let m = 0; m < M; m++) {
        sweep.run(a, maxDets[m] as number);
        for (let t = 0; t < T; t++) {
          const n = sweep.tp[t] as number;
          recall[((t * K + k) * A + a) * M + m] = n / objects;
          for (let r = 0, i = 0; r < R; r++) {
            const wanted = recallThresholds[r] as number;
            while (i < n && (i + 1) / objects < wanted) i++;
            const at = (((t * R + r) * K + k) * A + a) * M + m;
            precision[at] = i < n ? (sweep.precision[t]?.[i] as number) : 0;
            // A recall of 0 is reached before anything is found.
            const place = wanted <= 0 ? sweep.first : i < n ? (sweep.place[t]?.[i] as number) : -1;
            scores[at] = place < 0 ? 0 : scoreOf(matches, place);
          }
        }
      }
    }
  }
  return { precision, scores, recall, shape: [T, R, K, A, M] };
}
