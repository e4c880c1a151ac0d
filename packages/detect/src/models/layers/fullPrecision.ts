import type { Tensor } from "@sepc/engine";

/** Predictions leave the network so: sums over all priors and probabilities near 0 and 1 need more than half types hold. */
export function fullPrecision(x: Tensor): Tensor {
  return x.dtype === "bfloat16" || x.dtype === "float16" ? x.float() : x;
}
