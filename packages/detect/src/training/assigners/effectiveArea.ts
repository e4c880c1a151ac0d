import { full, ops, scope, type Tensor, zeros } from "@sepc/engine";
import { pairwiseOverlaps } from "../../ops/overlaps.js";
import type { AssignOptions } from "./maxIou.js";

/** Which priors answer for which box, by its middle part (FSAF, Zhu et al. 2019, section 3.2). */
export interface EffectiveAreaConfig {
  /** Side of a box's effective part, as a share of the box's. */
  readonly effective: number;
  /** Side of the part around it that counts neither way. */
  readonly ignored: number;
  /** A prior belongs to a part that covers at least this share of it. */
  readonly minIof: number;
}

/** Boxes `[G, 4]` of another size around the same centres. */
function scaled(boxes: Tensor, factor: number, extra: number): Tensor {
  const [x1, y1, x2, y2] = boxes.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
  const ends = (low: Tensor, high: Tensor): [Tensor, Tensor] => {
    const half = high
      .sub(low)
      .add(extra)
      .mul(factor / 2);
    const centre = low.add(high).add(extra).mul(0.5);
    return [centre.sub(half), centre.add(half).sub(extra)];
  };
  const [left, right] = ends(x1, x2);
  const [top, bottom] = ends(y1, y2);
  return ops.stack([left, top, right, bottom], 1);
}

/** bool `[P, G]`: priors whose centre lies in a box. */
function centredIn(priors: Tensor, boxes: Tensor, extra: number): Tensor {
  const [px1, py1, px2, py2] = priors.unsqueeze(1).unbind(2) as [Tensor, Tensor, Tensor, Tensor];
  const [x1, y1, x2, y2] = boxes.unsqueeze(0).unbind(2) as [Tensor, Tensor, Tensor, Tensor];
  const [x, y] = [px1.add(px2).add(extra).mul(0.5), py1.add(py2).add(extra).mul(0.5)];
  return x.gt(x1).logicalAnd(x.lt(x2)).logicalAnd(y.gt(y1)).logicalAnd(y.lt(y2));
}

/**
 * Priors `[P, 4]` and boxes `[G, 4]` in pixels -> int64 `[P]`: -1 counts neither way, 0 background, g + 1 box g. Where
 * several boxes claim a prior, the one with the highest place in the order of falling areas wins, read as the official
 * code reads it: place g of the sorted list, not the rank of box g.
 */
export function assignByEffectiveArea(
  priors: Tensor,
  boxes: Tensor,
  config: EffectiveAreaConfig,
  options: Pick<AssignOptions, "excluded" | "legacyBoxes"> = {},
): Tensor {
  return scope(() => {
    const { excluded, legacyBoxes } = options;
    const count = priors.shape[0] as number;
    const { device } = priors;
    const finish = (assigned: Tensor): Tensor => (excluded ? assigned.maskedFill(excluded, -1) : assigned);
    if (boxes.shape[0] === 0) return finish(zeros([count], { dtype: "int64", device }));
    const extra = legacyBoxes ? 1 : 0;
    const share = (factor: number): Tensor =>
      pairwiseOverlaps(priors, scaled(boxes, factor, extra), { mode: "iof", legacyBoxes }).gt(config.minIof);
    const inside = centredIn(priors, boxes, extra).logicalAnd(share(config.effective));
    const around = share(config.ignored).logicalAnd(inside.logicalNot());
    const [x1, y1, x2, y2] = boxes.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const areas = x2.sub(x1).add(extra).mul(y2.sub(y1).add(extra));
    const order = areas.argsort({ descending: true });
    const none = full([1], -1, { dtype: "int64", device });
    const [priority, which] = ops.where(inside, order.unsqueeze(0), none).max(1);
    const background = around.any(1).to({ dtype: "int64" }).neg();
    return finish(ops.where(priority.ge(0), which.add(1), background));
  });
}
