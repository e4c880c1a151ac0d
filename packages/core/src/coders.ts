import { type BoxConvention, extraPixel } from "./boxes.js";

/** Shifts of an anchor's centre by its sides, and logarithms of the change of its sides (Girshick et al. 2014). */
export interface DeltaCoder extends BoxConvention {
  readonly kind: "delta";
  readonly means: readonly [number, number, number, number];
  readonly stds: readonly [number, number, number, number];
}

/** Distances from a point to the left, top, right and bottom sides, in pixels (FCOS). */
export interface DistanceCoder {
  readonly kind: "distance";
}

/** Distances from an anchor's centre to the bottom, top, left and right, in the anchor's sides (FSAF, in its order). */
export interface TblrCoder extends BoxConvention {
  readonly kind: "tblr";
}

export type BoxCoder = DeltaCoder | DistanceCoder | TblrCoder;

/** Sides change by at most this factor: exp of it is 62.5. */
export const largestLogRatio = Math.abs(Math.log(16 / 1000));

/** Box of one row of deltas against one anchor. */
export function decodeDelta(
  coder: DeltaCoder,
  deltas: ArrayLike<number>,
  at: number,
  anchor: readonly [number, number, number, number],
): [number, number, number, number] {
  const extra = extraPixel(coder);
  const [dx, dy, dw, dh] = [0, 1, 2, 3].map(
    (i) => (deltas[at + i] as number) * (coder.stds[i] as number) + (coder.means[i] as number),
  ) as [number, number, number, number];
  const limited = (value: number): number => Math.min(Math.max(value, -largestLogRatio), largestLogRatio);
  const [x1, y1, x2, y2] = anchor;
  const [anchorWidth, anchorHeight] = [x2 - x1 + extra, y2 - y1 + extra];
  const centreX = (x1 + x2) * 0.5 + anchorWidth * dx;
  const centreY = (y1 + y2) * 0.5 + anchorHeight * dy;
  const width = anchorWidth * Math.exp(limited(dw)) - extra;
  const height = anchorHeight * Math.exp(limited(dh)) - extra;
  return [centreX - width / 2, centreY - height / 2, centreX + width / 2, centreY + height / 2];
}

/** Box of one row of distances against one anchor. */
export function decodeTblr(
  coder: TblrCoder,
  distances: ArrayLike<number>,
  at: number,
  anchor: readonly [number, number, number, number],
): [number, number, number, number] {
  const extra = extraPixel(coder);
  const [bottom, top, left, right] = [0, 1, 2, 3].map((i) => distances[at + i] as number) as [
    number,
    number,
    number,
    number,
  ];
  const [x1, y1, x2, y2] = anchor;
  const [width, height] = [x2 - x1 + extra, y2 - y1 + extra];
  const [x, y] = [(x1 + x2 + extra) / 2, (y1 + y2 + extra) / 2];
  return [x - left * width, y - top * height, x + right * width - extra, y + bottom * height - extra];
}
