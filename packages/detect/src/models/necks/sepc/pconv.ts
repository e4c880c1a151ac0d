import { check, nn, ops, type Tensor, tensorOp } from "@sepc/engine";
import type { FoldsNorm } from "../../../ops/foldBatchNorm.js";
import { upsampleAdd } from "../../../ops/upsampleAdd.js";
import { OffsetConv } from "../../layers/offsetConv.js";
import { buildPyramidNorm, foldInto, type PyramidNorm, type PyramidNormKind } from "./pyramidNorm.js";

const cat = tensorOp("aten::cat");
const conv2d = tensorOp("aten::conv2d");
const narrow = tensorOp("aten::narrow");
const add = tensorOp("aten::add.Tensor");

export interface PConvConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Number of levels. */
  readonly levels: number;
  /** Levels that one output sees, odd: 3 is the level itself and its two neighbours. */
  readonly scaleKernel?: number | undefined;
  /** Spatial size of each kernel. */
  readonly kernelSize?: number | undefined;
  /** Whether the kernels of all levels but the lowest deform: scale-equalising pyramid convolution. */
  readonly deformable?: boolean | undefined;
  readonly norm?: PyramidNormKind | undefined;
}

/**
 * Pyramid convolution (section 3.1, equations 1 and 2): a 3-D convolution over the scale and space of a feature
 * pyramid, with a stride of one level. With a scale kernel of 3,
 *
 *   y_l = upsample(w_0 * x_{l+1}) + w_1 * x_l + w_2 *_{stride 2} x_{l−1},
 *
 * then normalisation, then ReLU. Convolution precedes upsampling; levels beyond the ends contribute nothing. The
 * kernels are shared by all levels; whether one deforms depends on the output level (Appendix 2).
 */
export class PConv extends nn.Module implements FoldsNorm {
  /** kernels[i] reads the level i places below the coarsest that an output sees. */
  readonly kernels: OffsetConv[];
  norm: PyramidNorm;
  readonly #reach: number;
  readonly #deformable: boolean;

  constructor(readonly config: PConvConfig) {
    super();
    const {
      inChannels,
      outChannels,
      levels,
      scaleKernel = 3,
      kernelSize = 3,
      deformable = false,
      norm = "none",
    } = config;
    check(
      scaleKernel % 2 === 1 && scaleKernel > 0,
      () => `PConv: expected an odd scaleKernel, got ${scaleKernel}`,
    );
    this.#reach = scaleKernel >> 1;
    this.#deformable = deformable;
    this.kernels = Array.from({ length: scaleKernel }, (_, i) => {
      const stride = 2 ** Math.max(0, i - this.#reach);
      return new OffsetConv({ inChannels, outChannels, kernelSize, stride, deformable });
    });
    this.norm = buildPyramidNorm(norm, outChannels, levels);
  }

  /** Levels finest first, [N, inChannels, H_l, W_l] with H_{l+1} = ceil(H_l / 2) -> [N, outChannels, H_l, W_l]. */
  forward(levels: readonly Tensor[]): Tensor[] {
    check(
      levels.length === this.config.levels,
      () => `PConv: expected ${this.config.levels} levels, got ${levels.length}`,
    );
    const terms = this.#deformable ? this.#deformedTerms(levels) : this.#plainTerms(levels);
    const sums = terms.map((parts, level) => joined(parts, levels[level] as Tensor));
    return this.norm.forwardRelu(sums);
  }

  /** Upsampling keeps constants, so that a scale passes it; the shift goes into the one kernel that all levels have. */
  foldNorm(): void {
    const own = this.kernels[this.#reach] as OffsetConv;
    this.norm = foldInto(this.norm, [own, ...this.kernels.filter((kernel) => kernel !== own)]);
  }

  /** The convolution of every output's every input, one call each. */
  #deformedTerms(levels: readonly Tensor[]): Tensor[][] {
    return levels.map((_, target) =>
      this.kernels.flatMap((kernel, i) => {
        const source = levels[target + this.#reach - i];
        return source === undefined ? [] : [kernel.forward(source, target > 0)];
      }),
    );
  }

  /**
   * As above, with as few passes as the arithmetic allows: the kernel of a level itself and those for lower levels
   * all read it at stride 1, so they run as one convolution with their outputs side by side.
   */
  #plainTerms(levels: readonly Tensor[]): Tensor[][] {
    const terms: Tensor[][] = levels.map(() => []);
    const upward = this.kernels.slice(0, this.#reach + 1).reverse();
    const weights = cat(upward.map((kernel) => kernel.weight.tensor));
    const biases = cat(upward.map((kernel) => (kernel.bias as nn.Parameter).tensor));
    const { outChannels } = this.config;
    const padding = upward[0]?.padding ?? 0;
    for (const [source, map] of levels.entries()) {
      const used = Math.min(upward.length, source + 1);
      const part = (whole: Tensor): Tensor =>
        used === upward.length ? whole : narrow(whole, 0, 0, used * outChannels);
      const fused = conv2d(map, part(weights), part(biases), 1, padding);
      // Split rather than narrowed: its gradient joins the parts, where each narrowing would fill a map with zeros.
      const sides = used === 1 ? [fused] : ops.split(fused, outChannels, 1);
      for (const [distance, side] of sides.entries()) terms[source - distance]?.push(side);
    }
    for (const [i, kernel] of this.kernels.entries()) {
      const distance = i - this.#reach;
      if (distance <= 0) continue;
      for (let target = distance; target < levels.length; target++) {
        terms[target]?.push(kernel.forward(levels[target - distance] as Tensor, false));
      }
    }
    return terms;
  }
}

/** The sum of maps brought to the size of the level, of which at least one has it. */
function joined(parts: readonly Tensor[], like: Tensor): Tensor {
  const [, , height, width] = like.shape as [number, number, number, number];
  const fits = (part: Tensor): boolean => part.shape[2] === height && part.shape[3] === width;
  const own = parts.filter(fits).reduce((sum, part) => add(sum, part));
  return parts.filter((part) => !fits(part)).reduce((sum, part) => upsampleAdd(sum, part), own);
}
