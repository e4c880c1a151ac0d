import { full, ops, scope, type Tensor, zeros } from "@sepc/engine";
import { perPrior } from "../levels.js";
import type { AssignOptions } from "./maxIou.js";

/** Which points answer for which box: those nearest to its centre, at the level of its size (RepPoints). */
export interface NearestPointConfig {
  readonly strides: readonly number[];
  /** Side in strides of a box that belongs to a level; 4 in the paper. */
  readonly scale: number;
  /** Points that a box takes; 1 in the paper. */
  readonly pointsPerBox: number;
}

/** Centres and sides of boxes, `[1, G]` each. */
function centred(boxes: Tensor): { x: Tensor; y: Tensor; width: Tensor; height: Tensor } {
  const [x1, y1, x2, y2] = boxes.unsqueeze(0).unbind(2) as [Tensor, Tensor, Tensor, Tensor];
  const side = (low: Tensor, high: Tensor): Tensor => high.sub(low).clamp({ min: 1e-6 });
  return { x: x1.add(x2).div(2), y: y1.add(y2).div(2), width: side(x1, x2), height: side(y1, y2) };
}

/** `[1, G]`: log2 of the stride of each box's level, the mean of those of its sides, towards zero. */
function levelsOf(width: Tensor, height: Tensor, { strides, scale }: NearestPointConfig): Tensor {
  const logs = strides.map(Math.log2).map(Math.trunc);
  const mean = width.div(scale).log2().add(height.div(scale).log2()).div(2);
  return mean.trunc().clamp({ min: Math.min(...logs), max: Math.max(...logs) });
}

/**
 * Points `[P, 2]` of all levels and boxes `[G, 4]`, both in pixels -> int64 `[P]`: -1 takes no part, 0 background,
 * g + 1 box g. Distances to centres are in the box's sides; a point that several boxes take goes to the nearest.
 * @param counts points of each level
 */
export function assignNearestPoints(
  points: Tensor,
  counts: readonly number[],
  boxes: Tensor,
  config: NearestPointConfig,
  { excluded }: Pick<AssignOptions, "excluded"> = {},
): Tensor {
  return scope(() => {
    const count = points.shape[0] as number;
    const { device } = points;
    const finish = (assigned: Tensor): Tensor => (excluded ? assigned.maskedFill(excluded, -1) : assigned);
    const objects = boxes.shape[0] as number;
    if (objects === 0) return finish(zeros([count], { dtype: "int64", device }));
    const { x, y, width, height } = centred(boxes);
    const [px, py] = points.unsqueeze(1).unbind(2) as [Tensor, Tensor]; // [P, 1]
    const distances = px.sub(x).div(width).square().add(py.sub(y).div(height).square()).sqrt();
    const levels = perPrior(config.strides.map(Math.log2).map(Math.trunc), counts, device);
    const elsewhere = levels.ne(levelsOf(width, height, config));
    const out = excluded ? elsewhere.logicalOr(excluded.unsqueeze(1)) : elsewhere;
    const [nearest, places] = distances
      .maskedFill(out, Number.POSITIVE_INFINITY)
      .topk(Math.min(config.pointsPerBox, count), { dim: 0, largest: false });
    const [best, which] = full([count, objects], Number.POSITIVE_INFINITY, { dtype: nearest.dtype, device })
      .scatter(0, places, nearest)
      .min(1);
    return finish(ops.where(ops.isfinite(best), which.add(1), 0));
  });
}
