import { type BoxConvention, extraPixel } from "./boxes.js";

export interface NmsOptions extends BoxConvention {
  /** Boxes that overlap a better one by more than this are dropped (0-1). */
  readonly iouThreshold: number;
}

/** Rows by score, best first; equal scores keep their order. */
export function byScore(scores: ArrayLike<number>): Int32Array {
  const order = Int32Array.from({ length: scores.length }, (_, i) => i);
  return order.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
}

/** Sides and areas of boxes in a given order, for loops that read them over and over. */
function inOrder(boxes: ArrayLike<number>, order: Int32Array, extra: number): Float64Array[] {
  const columns = Array.from({ length: 5 }, () => new Float64Array(order.length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const [x1, y1, x2, y2, area] = columns;
  for (const [i, row] of order.entries()) {
    x1[i] = boxes[4 * row] as number;
    y1[i] = boxes[4 * row + 1] as number;
    x2[i] = boxes[4 * row + 2] as number;
    y2[i] = boxes[4 * row + 3] as number;
    area[i] =
      ((x2[i] as number) - (x1[i] as number) + extra) * ((y2[i] as number) - (y1[i] as number) + extra);
  }
  return columns;
}

/**
 * Non-maximum suppression of boxes `[N, 4]` by score `[N]`: each box in the order of the scores stays unless one that
 * stays already overlaps it.
 * @returns the rows that stay, best first.
 */
export function nms(boxes: ArrayLike<number>, scores: ArrayLike<number>, options: NmsOptions): number[] {
  const extra = extraPixel(options);
  const order = byScore(scores);
  const [x1, y1, x2, y2, area] = inOrder(boxes, order, extra) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const { iouThreshold, legacyBoxes } = options;
  const kept: number[] = [];
  for (let i = 0; i < order.length; i++) {
    let stays = true;
    for (let k = 0; k < kept.length && stays; k++) {
      const j = kept[k] as number;
      const width =
        Math.min(x2[i] as number, x2[j] as number) - Math.max(x1[i] as number, x1[j] as number) + extra;
      if (width <= 0) continue;
      const height =
        Math.min(y2[i] as number, y2[j] as number) - Math.max(y1[i] as number, y1[j] as number) + extra;
      if (height <= 0) continue;
      const overlap = width * height;
      const iou = overlap / ((area[i] as number) + (area[j] as number) - overlap);
      stays = legacyBoxes ? iou < iouThreshold : iou <= iouThreshold;
    }
    if (stays) kept.push(i);
  }
  return kept.map((i) => order[i] as number);
}

export interface SoftNmsOptions extends NmsOptions {
  /** How a box's score falls with its overlap with a better one. */
  readonly method: "linear" | "gaussian";
  /** Of the Gaussian; 0.5 unless told. */
  readonly sigma?: number | undefined;
  /** Boxes whose score falls below it are dropped. */
  readonly minScore: number;
}

/**
 * Soft suppression (Bodla et al. 2017): boxes that overlap a better one lose score instead of going.
 * @returns rows that stay with their new scores, in the order of choice: best first.
 */
export function softNms(
  boxes: ArrayLike<number>,
  scores: ArrayLike<number>,
  options: SoftNmsOptions,
): { row: number; score: number }[] {
  const extra = extraPixel(options);
  const { method, iouThreshold, sigma = 0.5, minScore } = options;
  const order = Int32Array.from({ length: scores.length }, (_, i) => i);
  const columns = inOrder(boxes, order, extra);
  const [x1, y1, x2, y2, area] = columns as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let left = Array.from({ length: scores.length }, (_, row) => ({ row, score: scores[row] as number }));
  const chosen: { row: number; score: number }[] = [];
  while (left.length > 0) {
    const best = left.reduce((a, b) => (b.score > a.score ? b : a));
    chosen.push(best);
    const { row: j } = best;
    const decayed = left
      .filter((one) => one !== best)
      .map(({ row: i, score }) => {
        const width =
          Math.min(x2[i] as number, x2[j] as number) - Math.max(x1[i] as number, x1[j] as number) + extra;
        const height =
          Math.min(y2[i] as number, y2[j] as number) - Math.max(y1[i] as number, y1[j] as number) + extra;
        const overlap = Math.max(width, 0) * Math.max(height, 0);
        const iou = overlap / ((area[i] as number) + (area[j] as number) - overlap);
        if (method === "gaussian") return { row: i, score: score * Math.exp(-(iou * iou) / sigma) };
        return { row: i, score: iou > iouThreshold ? score * (1 - iou) : score };
      });
    left = decayed.filter(({ score }) => score >= minScore);
  }
  return chosen;
}
