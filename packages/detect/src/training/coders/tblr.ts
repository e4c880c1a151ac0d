import type { TblrCoder } from "@sepc/core";
import { ops, scope, type Tensor } from "@sepc/engine";

/** Centres and sides, each `[N]`. */
function centred(boxes: Tensor, extra: number): [Tensor, Tensor, Tensor, Tensor] {
  const [x1, y1, x2, y2] = boxes.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
  const middle = (low: Tensor, high: Tensor): Tensor => low.add(high).add(extra).mul(0.5);
  return [middle(x1, x2), middle(y1, y2), x2.sub(x1).add(extra), y2.sub(y1).add(extra)];
}

/** Anchors and boxes, `[N, 4]` in pixels -> distances to bottom, top, left and right in the anchor's sides, `[N, 4]`. */
export function encodeTblr(coder: TblrCoder, anchors: Tensor, boxes: Tensor): Tensor {
  return scope(() => {
    const extra = coder.legacyBoxes ? 1 : 0;
    const [x, y, width, height] = centred(anchors, extra);
    const [x1, y1, x2, y2] = boxes.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    return ops.stack(
      [
        y2.sub(y).add(extra).div(height),
        y.sub(y1).div(height),
        x.sub(x1).div(width),
        x2.sub(x).add(extra).div(width),
      ],
      1,
    );
  });
}

/** The way back: anchors `[N, 4]` and distances `[N, 4]` -> boxes `[N, 4]` in pixels, clipped to height and width. */
export function decodeTblr(
  coder: TblrCoder,
  anchors: Tensor,
  distances: Tensor,
  limits?: readonly [number, number],
): Tensor {
  return scope(() => {
    const extra = coder.legacyBoxes ? 1 : 0;
    const [x, y, width, height] = centred(anchors, extra);
    const [bottom, top, left, right] = distances.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const sides = [
      x.sub(left.mul(width)),
      y.sub(top.mul(height)),
      x.add(right.mul(width)).sub(extra),
      y.add(bottom.mul(height)).sub(extra),
    ];
    if (limits === undefined) return ops.stack(sides, 1);
    const clipped = sides.map((side, i) =>
      side.clamp({ min: 0, max: (limits[1 - (i % 2)] as number) - extra }),
    );
    return ops.stack(clipped, 1);
  });
}
