import { type CocoEvaluation, thresholdAt } from "./coco.js";

/** Precision over recall of one class at one overlap; nothing where it has no objects. */
export interface PrecisionRecall {
  readonly id: number;
  readonly name: string;
  readonly iou: number;
  /** 0-1, ascending */
  readonly recall: readonly number[];
  /** Best precision at that recall or a higher one; 0 beyond what is reached. */
  readonly precision: readonly number[];
  /** Score of the detection that reaches the recall; 0 beyond. */
  readonly score: readonly number[];
}

/**
 * Curves of all classes with objects at one overlap, over all sizes, at the last of `maxDets`. Where all classes count
 * as one there is one curve, named "all".
 * @throws RangeError when the evaluation has no such overlap
 */
export function precisionRecall(evaluation: CocoEvaluation, iou: number): PrecisionRecall[] {
  const { curves, classes, params } = evaluation;
  const t = thresholdAt(params, iou);
  if (t < 0) throw new RangeError(`iou: expected one of ${params.iouThresholds.join(", ")}, got ${iou}`);
  const [, R, K, A, M] = curves.shape;
  const a = Math.max(
    0,
    params.areas.findIndex(([name]) => name === "all"),
  );
  const named = params.useCats ? classes : [{ id: -1, name: "all" }];
  return named.flatMap(({ id, name }, k): PrecisionRecall[] => {
    const read = (from: Float64Array): number[] =>
      Array.from({ length: R }, (_, r) => from[(((t * R + r) * K + k) * A + a) * M + M - 1] as number);
    const precision = read(curves.precision);
    if ((precision[0] ?? -1) < 0) return [];
    return [{ id, name, iou, recall: params.recallThresholds, precision, score: read(curves.scores) }];
  });
}
