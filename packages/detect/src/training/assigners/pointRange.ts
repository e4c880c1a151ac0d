import { ops, scope, type Tensor, zeros } from "@sepc/engine";
import { perPrior } from "../levels.js";

/** Which points answer for which box: by level for its size, and of several boxes the smallest (FCOS). */
export interface PointRangeConfig {
  /** Of each level: least and most distance from a point to the farthest side of its box, in pixels. */
  readonly ranges: readonly (readonly [number, number])[];
  readonly strides: readonly number[];
  /** Points count only this near a box's centre, in strides; null: anywhere in the box. */
  readonly centerRadius: number | null;
  readonly legacyBoxes?: boolean | undefined;
}

export interface PointAssignment {
  /** int64 `[P]`: 0 background, g + 1 box g */
  readonly assigned: Tensor;
  /** `[P, 4]` distances to left, top, right and bottom of that box, in pixels; of any box where background */
  readonly distances: Tensor;
}

const unreachable = 1e8;

/**
 * Points `[P, 2]` of all levels and boxes `[G, 4]`, both in pixels -> which point answers for which box.
 * @param counts points of each level
 */
export function assignPoints(
  points: Tensor,
  counts: readonly number[],
  boxes: Tensor,
  config: PointRangeConfig,
): PointAssignment {
  return scope(() => {
    const count = points.shape[0] as number;
    const { device } = points;
    if (boxes.shape[0] === 0)
      return {
        assigned: zeros([count], { dtype: "int64", device }),
        distances: zeros([count, 4], { device }),
      };
    const [x, y] = points.unsqueeze(1).unbind(2) as [Tensor, Tensor]; // [P, 1]
    const [x1, y1, x2, y2] = boxes.unsqueeze(0).unbind(2) as [Tensor, Tensor, Tensor, Tensor]; // [1, G]
    const around = (l: Tensor, t: Tensor, r: Tensor, b: Tensor): Tensor =>
      ops.stack([x.sub(l), y.sub(t), r.sub(x), b.sub(y)], -1); // [P, G, 4]
    const distances = around(x1, y1, x2, y2);
    let inside = distances;
    if (config.centerRadius !== null) {
      const reach = perPrior(
        config.strides.map((stride) => stride * (config.centerRadius as number)),
        counts,
        device,
      );
      const [cx, cy] = [x1.add(x2).mul(0.5), y1.add(y2).mul(0.5)];
      inside = around(
        ops.maximum(cx.sub(reach), x1),
        ops.maximum(cy.sub(reach), y1),
        ops.minimum(cx.add(reach), x2),
        ops.minimum(cy.add(reach), y2),
      );
    }
    const farthest = distances.amax(-1);
    const [least, most] = ([0, 1] as const).map((i) =>
      perPrior(
        config.ranges.map((range) => range[i]),
        counts,
        device,
      ),
    ) as [Tensor, Tensor];
    const fits = inside.amin(-1).gt(0).logicalAnd(farthest.ge(least)).logicalAnd(farthest.le(most));
    const extra = config.legacyBoxes ? 1 : 0;
    const areas = x2.sub(x1).add(extra).mul(y2.sub(y1).add(extra));
    const [area, which] = ops.where(fits, areas, unreachable).min(1);
    const own = distances.gather(1, which.reshape([-1, 1, 1]).expand([-1, 1, 4])).squeeze(1);
    return { assigned: ops.where(area.lt(unreachable), which.add(1), 0), distances: own };
  });
}
