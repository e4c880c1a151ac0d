import type { DeltaCoder } from "@sepc/core";
import { largestLogRatio } from "@sepc/core";
import { fromTypedArray, ops, scope, type Tensor } from "@sepc/engine";

function row(values: readonly number[], like: Tensor): Tensor {
  return fromTypedArray(Float32Array.from(values), [1, 4]).to({ device: like.device, dtype: like.dtype });
}

/** Centres and sides, each `[N]`. */
function centred(boxes: Tensor, extra: number): [Tensor, Tensor, Tensor, Tensor] {
  const [x1, y1, x2, y2] = boxes.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
  return [x1.add(x2).mul(0.5), y1.add(y2).mul(0.5), x2.sub(x1).add(extra), y2.sub(y1).add(extra)];
}

/** Anchors and boxes, `[N, 4]` in pixels -> what the network should say, `[N, 4]` (Girshick et al. 2014). */
export function encodeDeltas(coder: DeltaCoder, anchors: Tensor, boxes: Tensor): Tensor {
  return scope(() => {
    const extra = coder.legacyBoxes ? 1 : 0;
    const [ax, ay, aw, ah] = centred(anchors, extra);
    const [bx, by, bw, bh] = centred(boxes, extra);
    const deltas = ops.stack([bx.sub(ax).div(aw), by.sub(ay).div(ah), bw.div(aw).log(), bh.div(ah).log()], 1);
    return deltas.sub(row(coder.means, deltas)).div(row(coder.stds, deltas));
  });
}

/**
 * The way back, differentiable: anchors `[N, 4]` and deltas `[N, 4]` -> boxes `[N, 4]` in pixels.
 * @param limits height and width to clip to
 */
export function decodeDeltas(
  coder: DeltaCoder,
  anchors: Tensor,
  deltas: Tensor,
  limits?: readonly [number, number],
): Tensor {
  return scope(() => {
    const extra = coder.legacyBoxes ? 1 : 0;
    const [ax, ay, aw, ah] = centred(anchors, extra);
    const plain = deltas.mul(row(coder.stds, deltas)).add(row(coder.means, deltas));
    const [dx, dy, dw, dh] = plain.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const half = (side: Tensor, change: Tensor): Tensor =>
      side
        .mul(change.clamp({ min: -largestLogRatio, max: largestLogRatio }).exp())
        .sub(extra)
        .mul(0.5);
    const [cx, cy] = [ax.add(aw.mul(dx)), ay.add(ah.mul(dy))];
    const [hw, hh] = [half(aw, dw), half(ah, dh)];
    const inside = (value: Tensor, limit: number | undefined): Tensor =>
      limit === undefined ? value : value.clamp({ min: 0, max: limit - extra });
    const [bottom, right] = limits ?? [undefined, undefined];
    return ops.stack(
      [
        inside(cx.sub(hw), right),
        inside(cy.sub(hh), bottom),
        inside(cx.add(hw), right),
        inside(cy.add(hh), bottom),
      ],
      1,
    );
  });
}
