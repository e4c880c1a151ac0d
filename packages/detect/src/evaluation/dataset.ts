import type { Detection } from "@sepc/core";
import {
  type CocoEvaluation,
  type EvalOptions,
  evaluateCoco,
  type GroundTruth,
  type Result,
} from "@sepc/core/eval";
import type { DetectionDataset } from "../data/types.js";

/** Objects found in one picture, by its place in the data set. */
export interface ImageDetections {
  readonly image: number;
  readonly detections: readonly Detection[];
}

/** A data set as COCO's ground truth: images and classes by place, from 1. */
export function groundTruthOf(dataset: DetectionDataset): GroundTruth {
  let id = 0;
  return {
    images: dataset.images.map(({ width, height }, place) => ({ id: place + 1, width, height })),
    categories: dataset.categories.map(({ name }, label) => ({ id: label + 1, name })),
    annotations: dataset.images.flatMap(({ objects }, place) =>
      objects.map(({ box: [x1, y1, x2, y2], label, crowd, area }) => ({
        id: ++id,
        image_id: place + 1,
        category_id: label + 1,
        bbox: [x1, y1, x2 - x1, y2 - y1],
        area,
        iscrowd: crowd ? 1 : 0,
      })),
    ),
  };
}

/** Detections as COCO results of the same ids. */
export function resultsOf(found: readonly ImageDetections[]): Result[] {
  return found.flatMap(({ image, detections }) =>
    detections.map(({ box: [x1, y1, x2, y2], label, score }) => ({
      image_id: image + 1,
      category_id: label + 1,
      bbox: [x1, y1, x2 - x1, y2 - y1],
      score,
    })),
  );
}

/** COCO's metrics of detections in a data set. */
export function evaluateDetections(
  dataset: DetectionDataset,
  found: readonly ImageDetections[],
  options: EvalOptions = {},
): CocoEvaluation {
  return evaluateCoco(groundTruthOf(dataset), resultsOf(found), options);
}

export const statNames = [
  "AP",
  "AP50",
  "AP75",
  "AP_small",
  "AP_medium",
  "AP_large",
  "AR_1",
  "AR_10",
  "AR_100",
  "AR_small",
  "AR_medium",
  "AR_large",
] as const;

/** COCO's 12 figures by name. */
export function metricsOf({ stats }: CocoEvaluation): Record<(typeof statNames)[number], number> {
  return Object.fromEntries(statNames.map((name, i) => [name, stats[i] as number])) as never;
}
