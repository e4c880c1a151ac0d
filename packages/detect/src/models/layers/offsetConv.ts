import { nn, type Tensor, tensorOp } from "@sepc/engine";
import { deformConv2d } from "../../ops/deformConv.js";
import { type ChannelAffine, scaledConv } from "../../ops/foldBatchNorm.js";

const conv2d = tensorOp("aten::conv2d");

export interface OffsetConvConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** 3 unless told; odd. */
  readonly kernelSize?: number | undefined;
  readonly stride?: number | undefined;
  /** Half the kernel unless told, which keeps a stride-1 map's size. */
  readonly padding?: number | undefined;
  /** Groups of the kernel; offsets are one for all channels, whatever the groups. */
  readonly groups?: number | undefined;
  /** True unless told; none where a normalisation follows at once. */
  readonly bias?: boolean | undefined;
  /** Whether it can deform: then it owns a convolution that predicts offsets from its own input. */
  readonly deformable?: boolean | undefined;
  readonly initDeviation?: number | undefined;
}

/**
 * A convolution whose kernel may deform (Dai et al. 2017), where its caller says so: in a head it is shared by levels
 * of which the lowest stays plain (section 3.2). Offsets start at zero, so that it starts as the plain convolution it
 * shares weights with.
 */
export class OffsetConv extends nn.Module {
  readonly weight: nn.Parameter;
  bias: nn.Parameter | null;
  /** [N, C, H, W] -> [N, 2·k·k, H', W'] */
  readonly convOffset: nn.Conv2d | null;
  readonly stride: number;
  readonly padding: number;
  readonly groups: number;

  constructor(readonly config: OffsetConvConfig) {
    super();
    const { inChannels, outChannels, kernelSize = 3, stride = 1, padding = kernelSize >> 1 } = config;
    const { groups = 1, bias = true } = config;
    this.stride = stride;
    this.padding = padding;
    this.groups = groups;
    const plain = new nn.Conv2d({ inChannels, outChannels, kernelSize, groups, bias });
    this.weight = plain.weight;
    this.bias = plain.bias;
    nn.init.normal_(this.weight.tensor, 0, config.initDeviation ?? 0.01);
    if (this.bias !== null) nn.init.constant_(this.bias.tensor, 0);
    this.convOffset = config.deformable ? zeroConv(inChannels, kernelSize, stride, padding) : null;
  }

  protected override fieldNames(): Record<string, string> {
    return { convOffset: "conv_offset" };
  }

  /** [N, C, H, W] -> [N, C', H', W']. `deform`: whether the kernel deforms on this map, if it can. */
  forward(x: Tensor, deform = true): Tensor {
    const { stride, padding, groups } = this;
    const bias = this.bias?.tensor ?? null;
    if (!deform || this.convOffset === null) {
      return conv2d(x, this.weight.tensor, bias, stride, padding, 1, groups);
    }
    const offset = this.convOffset.forward(x);
    return deformConv2d(x, this.weight.tensor, offset, { bias, stride, padding, groups });
  }

  /** Takes a scale of each output channel, and unless told otherwise a shift, into the kernel. */
  absorb({ scale, shift }: ChannelAffine, withShift = true): void {
    const scaled = scaledConv(this.weight.tensor, this.bias?.tensor ?? null, {
      scale,
      shift: withShift ? shift : null,
    });
    this.weight.tensor = scaled.weight;
    if (scaled.bias === null) return;
    if (this.bias === null) this.bias = new nn.Parameter(scaled.bias, false);
    else this.bias.tensor = scaled.bias;
  }
}

function zeroConv(inChannels: number, kernelSize: number, stride: number, padding: number): nn.Conv2d {
  const made = new nn.Conv2d({
    inChannels,
    outChannels: 2 * kernelSize * kernelSize,
    kernelSize,
    stride,
    padding,
  });
  nn.init.constant_(made.weight.tensor, 0);
  nn.init.constant_((made.bias as nn.Parameter).tensor, 0);
  return made;
}
