import { iouOfRows } from "@sepc/core";
import type { DetectionDataset } from "../data/types.js";
import type { ImageDetections } from "../evaluation/dataset.js";

export interface ConfusionOptions {
  /** Least score of a detection (0-1); 0.3 unless told. */
  readonly score?: number | undefined;
  /** Least overlap of a pair (0-1); 0.5 unless told. */
  readonly iou?: number | undefined;
}

/**
 * How often an object of class r was found as class c: `[C + 1][C + 1]`. The last row counts detections of nothing, the
 * last column objects that were missed. Pairs are made by overlap, the surest detection first, whatever the classes.
 */
export function confusionMatrix(
  dataset: DetectionDataset,
  found: readonly ImageDetections[],
  { score = 0.3, iou = 0.5 }: ConfusionOptions = {},
): number[][] {
  const count = dataset.categories.length;
  const matrix = Array.from({ length: count + 1 }, () => Array<number>(count + 1).fill(0));
  const add = (row: number, column: number): void => {
    (matrix[row] as number[])[column] = (matrix[row]?.[column] as number) + 1;
  };
  for (const { image, detections } of found) {
    const objects = (dataset.images[image]?.objects ?? []).filter(({ crowd }) => !crowd);
    const boxes = objects.flatMap(({ box }) => [...box]);
    const free = new Set(objects.keys());
    for (const { box, label, score: own } of [...detections].sort((a, b) => b.score - a.score)) {
      if (own < score) continue;
      const pairs = [...free].map((i) => ({ i, overlap: iouOfRows(box, 0, boxes, i) }));
      const best = pairs.filter(({ overlap }) => overlap >= iou).sort((a, b) => b.overlap - a.overlap)[0];
      if (best === undefined) {
        add(count, label);
        continue;
      }
      free.delete(best.i);
      add(objects[best.i]?.label as number, label);
    }
    for (const i of free) add(objects[i]?.label as number, count);
  }
  return matrix;
}
