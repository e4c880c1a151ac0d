import { nn, type Tensor, tensorOp } from "@sepc/engine";
import { affineOf, type ChannelAffine } from "../../../ops/foldBatchNorm.js";
import { pyramidBatchNormRelu } from "../../../ops/pyramidBatchNorm.js";

const relu = tensorOp("aten::relu");
const cat = tensorOp("aten::cat");
const reshape = tensorOp("aten::reshape");
const narrow = tensorOp("aten::narrow");

/**
 * How the levels of a pyramid are normalised (section 3.3, Figure 7a):
 * - integrated (iBN): one batch normalisation whose statistics are of all levels together;
 * - shared: one batch normalisation applied to each level in turn, with that level's statistics;
 * - independent: a batch normalisation for each level;
 * - group: one group normalisation, within each image and level;
 * - none.
 */
export type PyramidNormKind = "none" | "integrated" | "shared" | "independent" | "group";

/** Maps of all levels in, finest first, the same shapes out: [N, C, H_l, W_l]. */
export abstract class PyramidNorm extends nn.Module {
  abstract forward(levels: readonly Tensor[]): Tensor[];

  /** {@link forward}, then ReLU. */
  forwardRelu(levels: readonly Tensor[]): Tensor[] {
    return this.forward(levels).map((level) => relu(level));
  }

  /** What it does to each channel in evaluation, where that is one for all levels and images; else null. */
  affine(): ChannelAffine | null {
    return null;
  }
}

class NoNorm extends PyramidNorm {
  forward(levels: readonly Tensor[]): Tensor[] {
    return [...levels];
  }
}

/** The levels side by side along one dimension: [N, C, 1, sum of H·W]. Statistics do not ask where a cell stands. */
function flatten(levels: readonly Tensor[]): Tensor {
  return cat(
    levels.map((level) => {
      const [n, c] = level.shape as [number, number];
      return reshape(level, [n, c, 1, -1]);
    }),
    3,
  );
}

function unflatten(flat: Tensor, like: readonly Tensor[]): Tensor[] {
  let start = 0;
  return like.map((level) => {
    const { shape } = level;
    const [, , height, width] = shape as [number, number, number, number];
    const part = narrow(flat, 3, start, height * width);
    start += height * width;
    return reshape(part, shape);
  });
}

class IntegratedBatchNorm extends PyramidNorm {
  readonly bn: nn.BatchNorm2d;

  constructor(channels: number) {
    super();
    this.bn = new nn.BatchNorm2d({ numFeatures: channels });
  }

  protected override fieldNames(): Record<string, string> {
    return { bn: "" };
  }

  override affine(): ChannelAffine | null {
    return affineOf(this.bn);
  }

  forward(levels: readonly Tensor[]): Tensor[] {
    // With running statistics every cell is treated alike: no need to bring the levels together.
    if (!this.bn.training) return levels.map((level) => this.bn.forward(level));
    return unflatten(this.bn.forward(flatten(levels)), levels);
  }

  override forwardRelu(levels: readonly Tensor[]): Tensor[] {
    return this.bn.training ? pyramidBatchNormRelu(levels, this.bn) : super.forwardRelu(levels);
  }
}

class SharedNorm extends PyramidNorm {
  constructor(readonly norm: nn.BatchNorm2d | nn.GroupNorm) {
    super();
  }

  protected override fieldNames(): Record<string, string> {
    return { norm: "" };
  }

  forward(levels: readonly Tensor[]): Tensor[] {
    return levels.map((level) => this.norm.forward(level));
  }

  override affine(): ChannelAffine | null {
    return this.norm instanceof nn.BatchNorm2d ? affineOf(this.norm) : null;
  }
}

class IndependentBatchNorm extends PyramidNorm {
  readonly bns: nn.BatchNorm2d[];

  constructor(channels: number, levels: number) {
    super();
    this.bns = Array.from({ length: levels }, () => new nn.BatchNorm2d({ numFeatures: channels }));
  }

  protected override fieldNames(): Record<string, string> {
    return { bns: "" };
  }

  forward(levels: readonly Tensor[]): Tensor[] {
    return levels.map((level, i) => (this.bns[i] as nn.BatchNorm2d).forward(level));
  }
}

/**
 * Takes a normalisation into the convolutions whose sum it normalises, the shift into the first of them alone.
 * Returns what is left to do after them: nothing, or the normalisation itself where it cannot be folded.
 */
export function foldInto(
  norm: PyramidNorm,
  convs: readonly { absorb(affine: ChannelAffine, withShift: boolean): void }[],
): PyramidNorm {
  const affine = norm.affine();
  if (affine === null) return norm;
  for (const [i, conv] of convs.entries()) conv.absorb(affine, i === 0);
  affine.scale.free();
  affine.shift.free();
  norm.free();
  return new NoNorm().eval();
}

/**
 * @param levels number of levels, which only "independent" asks for
 * @param groups of "group"; 32 unless told, or as many as there are channels
 */
export function buildPyramidNorm(
  kind: PyramidNormKind,
  channels: number,
  levels: number,
  groups = Math.min(32, channels),
): PyramidNorm {
  switch (kind) {
    case "none":
      return new NoNorm();
    case "integrated":
      return new IntegratedBatchNorm(channels);
    case "shared":
      return new SharedNorm(new nn.BatchNorm2d({ numFeatures: channels }));
    case "independent":
      return new IndependentBatchNorm(channels, levels);
    case "group":
      return new SharedNorm(new nn.GroupNorm({ numGroups: groups, numChannels: channels }));
  }
}
