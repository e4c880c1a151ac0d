import { ops, scope, type Tensor } from "@sepc/engine";
import { alignedOverlaps } from "../../ops/overlaps.js";

export interface IouLossOptions {
  readonly legacyBoxes?: boolean | undefined;
}

/** -log of the overlap of boxes `[N, 4]` with their targets -> `[N]` (Yu et al. 2016). */
export function iouLoss(predicted: Tensor, target: Tensor, { legacyBoxes }: IouLossOptions = {}): Tensor {
  return scope(() => alignedOverlaps(predicted, target, { legacyBoxes }).clamp({ min: 1e-6 }).log().neg());
}

/** 1 less the generalised overlap of boxes `[N, 4]` with their targets -> `[N]`, 0-2 (Rezatofighi et al. 2019). */
export function giouLoss(predicted: Tensor, target: Tensor, { legacyBoxes }: IouLossOptions = {}): Tensor {
  return scope(() => {
    const extra = legacyBoxes ? 1 : 0;
    const p = predicted.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const t = target.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const side = (low: Tensor, high: Tensor): Tensor => high.sub(low).add(extra).clamp({ min: 0 });
    const area = ([x1, y1, x2, y2]: [Tensor, Tensor, Tensor, Tensor]): Tensor =>
      x2.sub(x1).add(extra).mul(y2.sub(y1).add(extra));
    const shared = side(ops.maximum(p[0], t[0]), ops.minimum(p[2], t[2])).mul(
      side(ops.maximum(p[1], t[1]), ops.minimum(p[3], t[3])),
    );
    const union = area(p).add(area(t)).sub(shared);
    const around = side(ops.minimum(p[0], t[0]), ops.maximum(p[2], t[2])).mul(
      side(ops.minimum(p[1], t[1]), ops.maximum(p[3], t[3])),
    );
    const giou = shared.div(union).sub(around.sub(union).div(around));
    return giou.neg().add(1);
  });
}
