import { accumulate, type Curves } from "./accumulate.js";
import { groupByImageAndClass, overlapsOf } from "./groups.js";
import { type ClassMatches, Matcher } from "./match.js";
import { type EvalOptions, type EvalParams, fillParams, type GroundTruth, type Result } from "./types.js";

/** Figures of one class, 0-1; -1 where it has no objects. */
export interface ClassFigures {
  readonly id: number;
  readonly name: string;
  readonly ap: number;
  readonly ap50: number;
  readonly ap75: number;
  readonly ar: number;
}

export interface CocoEvaluation {
  /**
   * COCO's 12 figures in pycocotools' order: AP; AP50; AP75; AP of small, medium and large; AR at 1, 10 and 100
   * detections; AR of small, medium and large. -1 where nothing decides them.
   */
  readonly stats: readonly number[];
  /** AP at the last of `maxDets`, which `stats[0]` is only where that is 100. */
  readonly ap: number;
  readonly classes: readonly ClassFigures[];
  readonly curves: Curves;
  readonly matches: readonly ClassMatches[];
  readonly params: EvalParams;
}

interface Slice {
  readonly t?: number | undefined;
  readonly k?: number | undefined;
  readonly a: number;
  readonly m: number;
}

/** Mean of what is known, -1 where nothing is. */
function meanKnown(values: Iterable<number>): number {
  let [sum, count] = [0, 0];
  for (const value of values) {
    if (value <= -1) continue;
    sum += value;
    count++;
  }
  return count === 0 ? -1 : sum / count;
}

function* precisionAt(
  { precision, shape: [T, R, K, A, M] }: Curves,
  { t, k, a, m }: Slice,
): Generator<number> {
  for (let i = t ?? 0; i < (t === undefined ? T : t + 1); i++)
    for (let r = 0; r < R; r++)
      for (let j = k ?? 0; j < (k === undefined ? K : k + 1); j++)
        yield precision[(((i * R + r) * K + j) * A + a) * M + m] as number;
}

function* recallAt({ recall, shape: [T, , K, A, M] }: Curves, { t, k, a, m }: Slice): Generator<number> {
  for (let i = t ?? 0; i < (t === undefined ? T : t + 1); i++)
    for (let j = k ?? 0; j < (k === undefined ? K : k + 1); j++)
      yield recall[((i * K + j) * A + a) * M + m] as number;
}

function summarize(curves: Curves, params: EvalParams): number[] {
  const { iouThresholds, areas, maxDets } = params;
  const areaOf = (name: string): number => areas.findIndex(([own]) => own === name);
  const at = (iou: number): number => iouThresholds.findIndex((own) => Math.abs(own - iou) < 1e-9);
  const last = maxDets.length - 1;
  const figure = (of: typeof precisionAt, slice: Slice, known = true): number =>
    known && slice.a >= 0 && slice.m >= 0 && slice.t !== -1 ? meanKnown(of(curves, slice)) : -1;
  const all = areaOf("all");
  const sizes = ["small", "medium", "large"].map(areaOf);
  return [
    figure(precisionAt, { a: all, m: maxDets.indexOf(100) }),
    figure(precisionAt, { t: at(0.5), a: all, m: last }),
    figure(precisionAt, { t: at(0.75), a: all, m: last }),
    ...sizes.map((a) => figure(precisionAt, { a, m: last })),
    ...[0, 1, 2].map((m) => figure(recallAt, { a: all, m }, m <= last)),
    ...sizes.map((a) => figure(recallAt, { a, m: last })),
  ];
}

/**
 * COCO's metrics, equal to pycocotools'. Results of unknown classes are left out, as there.
 * @throws RangeError when a result's image is not in `truth`
 */
export function evaluateCoco(
  truth: GroundTruth,
  results: readonly Result[],
  options: EvalOptions = {},
): CocoEvaluation {
  const params = fillParams(truth, options);
  const known = new Set(truth.images.map(({ id }) => id));
  for (const [i, { image_id }] of results.entries())
    if (!known.has(image_id))
      throw new RangeError(`results.${i}: image_id ${image_id} is none of the annotations' images`);
  const matcher = new Matcher(truth, overlapsOf(truth, results, params.type), params);
  const matches = groupByImageAndClass(truth, results, params).map((groups) => matcher.match(groups));
  const curves = accumulate(matches, results, params);
  const last = params.maxDets.length - 1;
  const names = new Map(truth.categories.map(({ id, name }) => [id, name]));
  const at = (iou: number): number => params.iouThresholds.findIndex((own) => Math.abs(own - iou) < 1e-9);
  const all = Math.max(
    0,
    params.areas.findIndex(([name]) => name === "all"),
  );
  const classes = (params.useCats ? params.categoryIds : []).map((id, k): ClassFigures => {
    const slice = { k, a: all, m: last };
    const ap = (iou: number): number =>
      at(iou) < 0 ? -1 : meanKnown(precisionAt(curves, { ...slice, t: at(iou) }));
    return {
      id,
      name: names.get(id) ?? String(id),
      ap: meanKnown(precisionAt(curves, slice)),
      ap50: ap(0.5),
      ap75: ap(0.75),
      ar: meanKnown(recallAt(curves, slice)),
    };
  });
  const ap = meanKnown(precisionAt(curves, { a: all, m: last }));
  return { stats: summarize(curves, params), ap, classes, curves, matches, params };
}
