import { ops, type Tensor } from "@sepc/engine";

/** Elementwise, same shape: square below `beta`, straight above (Girshick 2015); beta 0 is the absolute difference. */
export function smoothL1(predicted: Tensor, target: Tensor, beta: number): Tensor {
  if (beta === 0) return ops.abs(predicted.sub(target));
  return ops.smoothL1(predicted, target, { beta, reduction: "none" });
}
