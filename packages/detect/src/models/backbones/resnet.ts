import { check, nn, scope, type Tensor, tensorOp } from "@sepc/engine";
import { convBatchNorm } from "../layers/convBatchNorm.js";
import { OffsetConv } from "../layers/offsetConv.js";
import type { Level } from "../level.js";

const { BatchNorm2d, Conv2d, Module } = nn;
const relu_ = tensorOp("aten::relu_");
const add = tensorOp("aten::add.Tensor");
const maxPool2d = tensorOp("aten::max_pool2d");

/** A stage by the map that it makes. */
export type StageName = "c2" | "c3" | "c4" | "c5";

/** ResNet (He et al. 2016) and ResNeXt (Xie et al. 2017) by depth. */
export interface ResNetConfig {
  readonly depth: 18 | 34 | 50 | 101;
  /** Groups of the 3×3 convolutions: 32 or 64 make a ResNeXt. */
  readonly groups?: number | undefined;
  /** Channels of the stem and of the first stage; 64 in the papers. */
  readonly width?: number | undefined;
  /** Blocks of each stage, where they are not the depth's own. */
  readonly blocks?: readonly [number, number, number, number] | undefined;
  /** Channels of each group in the first stage: 4 for ResNeXt-64x4d. */
  readonly widthPerGroup?: number | undefined;
  /** Where a bottleneck halves the map: its 3×3 convolution ("pytorch") or its first 1×1 ("caffe"). */
  readonly style?: "pytorch" | "caffe" | undefined;
  /**
   * Stages whose bottlenecks have a deformable 3×3 convolution, which predicts its own offsets (Dai et al. 2017); c3 to
   * c5 in the papers, none unless told.
   */
  readonly deformableStages?: readonly StageName[] | undefined;
  /** Parts that do not train: 0 none, 1 the stem, 2 the stem and the first stage ... */
  readonly frozenStages?: 0 | 1 | 2 | 3 | 4 | 5 | undefined;
  /** Whether batch normalisation uses its running statistics even in training. */
  readonly normEval?: boolean | undefined;
}

const BLOCKS = { 18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3] } as const;

function conv(
  inChannels: number,
  outChannels: number,
  kernelSize: number,
  stride = 1,
  groups = 1,
): InstanceType<typeof Conv2d> {
  const made = new Conv2d({
    inChannels,
    outChannels,
    kernelSize,
    stride,
    padding: kernelSize >> 1,
    groups,
    bias: false,
  });
  nn.init.kaimingNormal_(made.weight.tensor, { mode: "fanOut", nonlinearity: "relu" });
  return made;
}

/** A 3×3 convolution of as many channels out as in, at the place of a plain one and with its names. */
function deformableConv(channels: number, stride: number, groups: number): OffsetConv {
  const made = new OffsetConv({
    inChannels: channels,
    outChannels: channels,
    stride,
    groups,
    bias: false,
    deformable: true,
  });
  nn.init.kaimingNormal_(made.weight.tensor, { mode: "fanOut", nonlinearity: "relu" });
  return made;
}

/** The 1×1 path beside a block whose output has another size or number of channels. */
class Downsample extends Module {
  readonly conv;
  readonly bn;

  constructor(inChannels: number, outChannels: number, stride: number) {
    super();
    this.conv = conv(inChannels, outChannels, 1, stride);
    this.bn = new BatchNorm2d({ numFeatures: outChannels });
  }

  /** torchvision writes it as a sequence. */
  protected override fieldNames(): Record<string, string> {
    return { conv: "0", bn: "1" };
  }

  forward(x: Tensor): Tensor {
    return convBatchNorm(this.conv, this.bn, x);
  }
}

abstract class Block extends Module {
  abstract readonly downsample: Downsample | null;
  abstract residual(x: Tensor): Tensor;

  /** [N, C, H, W] -> [N, C', H', W'] */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const shortcut = this.downsample === null ? x : this.downsample.forward(x);
      return relu_(add(this.residual(x), shortcut));
    });
  }
}

class BasicBlock extends Block {
  static readonly expansion = 1;
  readonly conv1;
  readonly bn1;
  readonly conv2;
  readonly bn2;
  readonly downsample: Downsample | null;

  constructor(inChannels: number, width: number, stride: number) {
    super();
    this.conv1 = conv(inChannels, width, 3, stride);
    this.bn1 = new BatchNorm2d({ numFeatures: width });
    this.conv2 = conv(width, width, 3);
    this.bn2 = new BatchNorm2d({ numFeatures: width });
    this.downsample = stride !== 1 || inChannels !== width ? new Downsample(inChannels, width, stride) : null;
  }

  residual(x: Tensor): Tensor {
    const y = relu_(convBatchNorm(this.conv1, this.bn1, x));
    return convBatchNorm(this.conv2, this.bn2, y);
  }
}

class Bottleneck extends Block {
  static readonly expansion = 4;
  readonly conv1;
  readonly bn1;
  readonly conv2: nn.Conv2d | OffsetConv;
  readonly bn2;
  readonly conv3;
  readonly bn3;
  readonly downsample: Downsample | null;

  constructor(inChannels: number, width: number, stride: number, deformable: boolean, config: ResNetConfig) {
    super();
    const { groups = 1, widthPerGroup = 64, style = "pytorch", width: base = 64 } = config;
    const inner = groups === 1 ? width : Math.floor((width * widthPerGroup) / base) * groups;
    const outChannels = width * Bottleneck.expansion;
    this.conv1 = conv(inChannels, inner, 1, style === "caffe" ? stride : 1);
    this.bn1 = new BatchNorm2d({ numFeatures: inner });
    const middle = style === "caffe" ? 1 : stride;
    this.conv2 = deformable ? deformableConv(inner, middle, groups) : conv(inner, inner, 3, middle, groups);
    this.bn2 = new BatchNorm2d({ numFeatures: inner });
    this.conv3 = conv(inner, outChannels, 1);
    this.bn3 = new BatchNorm2d({ numFeatures: outChannels });
    this.downsample =
      stride !== 1 || inChannels !== outChannels ? new Downsample(inChannels, outChannels, stride) : null;
  }

  residual(x: Tensor): Tensor {
    const y = relu_(convBatchNorm(this.conv1, this.bn1, x));
    const z = relu_(convBatchNorm(this.conv2, this.bn2, y));
    return convBatchNorm(this.conv3, this.bn3, z);
  }
}

/** [N, 3, H, W] -> the maps after each of its four stages: c2 (stride 4) to c5 (stride 32). Names as torchvision's. */
export class ResNet extends Module {
  readonly conv1;
  readonly bn1;
  readonly layer1: Block[];
  readonly layer2: Block[];
  readonly layer3: Block[];
  readonly layer4: Block[];

  constructor(readonly config: ResNetConfig) {
    super();
    const { depth, width: stem = 64, blocks = BLOCKS[depth], deformableStages = [] } = config;
    check(
      depth >= 50 || deformableStages.length === 0,
      () => `ResNet: expected deformableStages on a depth with bottlenecks (50 or 101), got depth ${depth}`,
    );
    this.conv1 = conv(3, stem, 7, 2);
    this.bn1 = new BatchNorm2d({ numFeatures: stem });
    const expansion = depth < 50 ? BasicBlock.expansion : Bottleneck.expansion;
    const stage = (index: 0 | 1 | 2 | 3): Block[] => {
      const width = stem * 2 ** index;
      const deformable = deformableStages.includes(`c${index + 2}` as StageName);
      const before = index === 0 ? stem : (width / 2) * expansion;
      return Array.from({ length: blocks[index] }, (_, i) => {
        const stride = i === 0 && index > 0 ? 2 : 1;
        const inChannels = i === 0 ? before : width * expansion;
        return depth < 50
          ? new BasicBlock(inChannels, width, stride)
          : new Bottleneck(inChannels, width, stride, deformable, config);
      });
    };
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = stage(3);
    this.#freezeStages();
  }

  get levels(): Level[] {
    const expansion = this.config.depth < 50 ? BasicBlock.expansion : Bottleneck.expansion;
    return [0, 1, 2, 3].map((i) => ({
      name: `c${i + 2}`,
      channels: (this.config.width ?? 64) * 2 ** i * expansion,
      stride: 4 * 2 ** i,
    }));
  }

  #frozen(): nn.Module[] {
    const parts: nn.Module[][] = [[this.conv1, this.bn1], this.layer1, this.layer2, this.layer3, this.layer4];
    return parts.slice(0, this.config.frozenStages ?? 0).flat();
  }

  #freezeStages(): void {
    for (const module of this.#frozen()) module.freeze();
  }

  /** Frozen parts, and with `normEval` every batch normalisation, stay in evaluation mode. */
  override train(on = true): this {
    super.train(on);
    for (const module of this.#frozen()) module.eval();
    if (this.config.normEval) {
      for (const [, module] of this.namedModules())
        if (module instanceof BatchNorm2d) module.training = false;
    }
    return this;
  }

  forward(image: Tensor): Tensor[] {
    const stem = relu_(convBatchNorm(this.conv1, this.bn1, image));
    let x = maxPool2d(stem, 3, 2, 1);
    return [this.layer1, this.layer2, this.layer3, this.layer4].map((stage) => {
      x = stage.reduce((y, block) => block.forward(y), x);
      return x;
    });
  }
}
