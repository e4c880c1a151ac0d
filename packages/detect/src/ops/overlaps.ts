import { ops, scope, type Tensor } from "@sepc/engine";

export interface OverlapOptions {
  /** "iou": over the union; "iof": over the area of the first box. */
  readonly mode?: "iou" | "iof" | undefined;
  /** Sides are x2 - x1 + 1, as in mmdetection 1.x. */
  readonly legacyBoxes?: boolean | undefined;
}

/** Overlap from the corners' coordinates, which broadcast against each other. */
function overlap(
  a: readonly Tensor[],
  b: readonly Tensor[],
  { mode = "iou", legacyBoxes }: OverlapOptions,
): Tensor {
  const extra = legacyBoxes ? 1 : 0;
  const [ax1, ay1, ax2, ay2] = a as [Tensor, Tensor, Tensor, Tensor];
  const [bx1, by1, bx2, by2] = b as [Tensor, Tensor, Tensor, Tensor];
  const side = (from: Tensor, to: Tensor): Tensor => to.sub(from).add(extra);
  const width = side(ops.maximum(ax1, bx1), ops.minimum(ax2, bx2)).clamp({ min: 0 });
  const height = side(ops.maximum(ay1, by1), ops.minimum(ay2, by2)).clamp({ min: 0 });
  const shared = width.mul(height);
  const areaOfA = side(ax1, ax2).mul(side(ay1, ay2));
  if (mode === "iof") return shared.div(areaOfA);
  const areaOfB = side(bx1, bx2).mul(side(by1, by2));
  return shared.div(areaOfA.add(areaOfB).sub(shared));
}

/** Boxes `[N, 4]` and `[M, 4]` in pixels -> overlap of each pair `[N, M]`, 0-1. */
export function pairwiseOverlaps(a: Tensor, b: Tensor, options: OverlapOptions = {}): Tensor {
  return scope(() => overlap(a.unsqueeze(1).unbind(-1), b.unsqueeze(0).unbind(-1), options));
}

/** Boxes `[N, 4]` and `[N, 4]` in pixels -> overlap of each with its partner `[N]`, 0-1. */
export function alignedOverlaps(a: Tensor, b: Tensor, options: OverlapOptions = {}): Tensor {
  return scope(() => overlap(a.unbind(-1), b.unbind(-1), options));
}
