import type { Tensor } from "@sepc/engine";
import { ownOp } from "./library.js";

const upsampleAddOp = ownOp("upsample_add");

/**
 * base [N, C, H, W] + small [N, C, h, w] upsampled to H × W, bilinearly with the corners aligned, in one pass over the
 * finer map: how a pyramid convolution adds the level above (section 3.1).
 */
export function upsampleAdd(base: Tensor, small: Tensor): Tensor {
  return upsampleAddOp(base, small) as Tensor;
}
