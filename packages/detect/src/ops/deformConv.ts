import { nn, type Tensor } from "@sepc/engine";
import { ownOp } from "./library.js";

const deform = ownOp("deform_conv2d");

export interface DeformConv2dOptions {
  /** [N, offsetGroups·kH·kW, H', W'], a factor on every sample (version 2). */
  readonly mask?: Tensor | null | undefined;
  readonly bias?: Tensor | null | undefined;
  readonly stride?: nn.Pair | undefined;
  readonly padding?: nn.Pair | undefined;
  readonly dilation?: nn.Pair | undefined;
  readonly groups?: number | undefined;
  readonly offsetGroups?: number | undefined;
}

/**
 * Deformable convolution (Dai et al. 2017; with a mask Zhu et al. 2019): every tap of the kernel reads the map where
 * its offset says, bilinearly, zero outside.
 * input [N, C, H, W], weight [O, C / groups, kH, kW], offset [N, 2·offsetGroups·kH·kW, H', W'] in cells, (y, x) for
 * each tap -> [N, O, H', W'].
 */
export function deformConv2d(
  input: Tensor,
  weight: Tensor,
  offset: Tensor,
  options: DeformConv2dOptions = {},
): Tensor {
  const {
    mask = null,
    bias = null,
    stride = 1,
    padding = 0,
    dilation = 1,
    groups = 1,
    offsetGroups = 1,
  } = options;
  const geometry = [nn.pair(stride), nn.pair(padding), nn.pair(dilation)] as const;
  return deform(input, weight, offset, mask, bias, ...geometry, groups, offsetGroups) as Tensor;
}
