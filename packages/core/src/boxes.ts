/** A box in pixels: `[x1, y1, x2, y2]`, continuous coordinates. */
export type Box = readonly [x1: number, y1: number, x2: number, y2: number];

/**
 * Conventions of mmdetection 1.x, whose weights and reference values need them: a box from x1 to x2 is x2 - x1 + 1 wide,
 * anchors are rounded to whole pixels, and suppression starts at the threshold, not above it.
 */
export interface BoxConvention {
  readonly legacyBoxes?: boolean | undefined;
}

/** What a side is longer than x2 - x1. */
export const extraPixel = ({ legacyBoxes = false }: BoxConvention): 0 | 1 => (legacyBoxes ? 1 : 0);

/** Intersection over union of rows `i` and `j` of two lists of boxes, `[N, 4]` each. */
export function iouOfRows(
  a: ArrayLike<number>,
  i: number,
  b: ArrayLike<number>,
  j: number,
  extra: 0 | 1 = 0,
): number {
  const [p, q] = [4 * i, 4 * j];
  const [ax1, ay1, ax2, ay2] = [a[p] as number, a[p + 1] as number, a[p + 2] as number, a[p + 3] as number];
  const [bx1, by1, bx2, by2] = [b[q] as number, b[q + 1] as number, b[q + 2] as number, b[q + 3] as number];
  const width = Math.min(ax2, bx2) - Math.max(ax1, bx1) + extra;
  const height = Math.min(ay2, by2) - Math.max(ay1, by1) + extra;
  if (width <= 0 || height <= 0) return 0;
  const overlap = width * height;
  const areaOfA = (ax2 - ax1 + extra) * (ay2 - ay1 + extra);
  const areaOfB = (bx2 - bx1 + extra) * (by2 - by1 + extra);
  return overlap / (areaOfA + areaOfB - overlap);
}
