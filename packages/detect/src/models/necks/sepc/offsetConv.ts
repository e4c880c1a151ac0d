import { nn, type Tensor, tensorOp } from "@sepc/engine";
import { deformConv2d } from "../../../ops/deformConv.js";
import { type ChannelAffine, scaledConv } from "../../../ops/foldBatchNorm.js";

const conv2d = tensorOp("aten::conv2d");

export interface OffsetConvConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** 3 unless told; odd. */
  readonly kernelSize?: number | undefined;
  readonly stride?: number | undefined;
  /** Half the kernel unless told, which keeps a stride-1 map's size. */
  readonly padding?: number | undefined;
  /** Whether it can deform: then it owns a convolution that predicts offsets from its own input. */
  readonly deformable?: boolean | undefined;
  readonly initDeviation?: number | undefined;
}

/**
 * A convolution whose kernel may deform, where its caller says so: the kernel is shared by levels of which the lowest
 * stays plain (section 3.2). Offsets start at zero, so that it starts as the plain convolution it shares weights with.
 */
export class OffsetConv extends nn.Module {
  readonly weight: nn.Parameter;
  readonly bias: nn.Parameter;
  /** [N, C, H, W] -> [N, 2·k·k, H', W'] */
  readonly convOffset: nn.Conv2d | null;
  readonly stride: number;
  readonly padding: number;

  constructor(readonly config: OffsetConvConfig) {
    super();
    const { inChannels, outChannels, kernelSize = 3, stride = 1, padding = kernelSize >> 1 } = config;
    this.stride = stride;
    this.padding = padding;
    const plain = new nn.Conv2d({ inChannels, outChannels, kernelSize });
    this.weight = plain.weight;
    this.bias = plain.bias as nn.Parameter;
    nn.init.normal_(this.weight.tensor, 0, config.initDeviation ?? 0.01);
    nn.init.constant_(this.bias.tensor, 0);
    this.convOffset = config.deformable ? zeroConv(inChannels, kernelSize, stride, padding) : null;
  }

  protected override fieldNames(): Record<string, string> {
    return { convOffset: "conv_offset" };
  }

  /** [N, C, H, W] -> [N, C', H', W']. `deform`: whether this level's kernel deforms. */
  forward(x: Tensor, deform: boolean): Tensor {
    const { stride, padding } = this;
    if (!deform || this.convOffset === null) {
      return conv2d(x, this.weight.tensor, this.bias.tensor, stride, padding);
    }
    const offset = this.convOffset.forward(x);
    return deformConv2d(x, this.weight.tensor, offset, { bias: this.bias.tensor, stride, padding });
  }

  /** Takes a scale of each output channel, and unless told otherwise a shift, into the kernel. */
  absorb({ scale, shift }: ChannelAffine, withShift = true): void {
    const { weight, bias } = scaledConv(this.weight.tensor, this.bias.tensor, {
      scale,
      shift: withShift ? shift : null,
    });
    this.weight.tensor = weight;
    this.bias.tensor = bias as Tensor;
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
