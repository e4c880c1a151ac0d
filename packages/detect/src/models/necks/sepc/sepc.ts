import { check, nn, type Tensor } from "@sepc/engine";
import type { FoldsNorm } from "../../../ops/foldBatchNorm.js";
import { OffsetConv } from "../../layers/offsetConv.js";
import { PConv } from "./pconv.js";
import { buildPyramidNorm, foldInto, type PyramidNorm, type PyramidNormKind } from "./pyramidNorm.js";

export interface SepcConfig {
  readonly channels: number;
  readonly levels: number;
  /** Stacked pyramid convolutions; 4 unless told. */
  readonly pconvs?: number | undefined;
  /**
   * none: plain PConv head. extra: SEPC-lite, only the last convolution of each branch deforms. all: SEPC. pconvs: all
   * but those last ones, which the official code can be told too.
   */
  readonly deform?: "none" | "extra" | "pconvs" | "all" | undefined;
  readonly norm?: PyramidNormKind | undefined;
  /** combined: both branches share the pyramid convolutions (Figure 5b); separate: each has its own (Figure 5a). */
  readonly branches?: "combined" | "separate" | undefined;
  readonly scaleKernel?: number | undefined;
  /**
   * Padding of the extra convolutions: 1 keeps every map at its level's size, as in the paper; the official code has 0,
   * and maps two cells smaller.
   */
  readonly extraPadding?: 0 | 1 | undefined;
}

/** What a head reads at one level: features of its own for classes and for boxes. */
export interface BranchFeatures {
  /** [N, C, H_l, W_l] */
  readonly cls: Tensor;
  /** [N, C, H_l, W_l] */
  readonly box: Tensor;
}

function checkRoom(size: readonly number[]): void {
  check(
    Math.min(...size) >= 3,
    () =>
      `Sepc: with extraPadding 0, which the official weights have, every level needs 3 cells each way, got ` +
      `${size.join("x")}; expected a larger picture: for levels up to P7 over 256 pixels each way`,
  );
}

/** The extra convolution that ends a branch, shared by all levels. */
class ExtraConv extends nn.Module implements FoldsNorm {
  readonly conv: OffsetConv;
  norm: PyramidNorm;

  constructor(config: SepcConfig) {
    super();
    const { channels, levels, deform = "none", norm = "none", extraPadding = 1 } = config;
    this.conv = new OffsetConv({
      inChannels: channels,
      outChannels: channels,
      padding: extraPadding,
      deformable: deform === "extra" || deform === "all",
    });
    this.norm = buildPyramidNorm(norm, channels, levels);
  }

  forward(levels: readonly Tensor[]): Tensor[] {
    if (this.conv.padding === 0) for (const { shape } of levels) checkRoom(shape.slice(2));
    const maps = levels.map((level, i) => this.conv.forward(level, i > 0));
    return this.norm.forwardRelu(maps);
  }

  foldNorm(): void {
    this.norm = foldInto(this.norm, [this.conv]);
  }
}

/**
 * Scale-equalising pyramid convolution as a head's tower (sections 3 and 4.1): stacked pyramid convolutions, then one
 * extra convolution for each branch.
 */
export class Sepc extends nn.Module {
  /** Of both branches when combined, else of the class branch. */
  readonly pconvs: PConv[];
  readonly boxPconvs: PConv[];
  readonly clsConv: ExtraConv;
  readonly boxConv: ExtraConv;

  constructor(readonly config: SepcConfig) {
    super();
    const {
      channels,
      levels,
      pconvs = 4,
      deform = "none",
      norm,
      branches = "combined",
      scaleKernel,
    } = config;
    check(
      Number.isInteger(pconvs) && pconvs >= 0,
      () => `Sepc: expected pconvs to be 0 or more, got ${pconvs}`,
    );
    const stack = (): PConv[] =>
      Array.from(
        { length: pconvs },
        () =>
          new PConv({
            inChannels: channels,
            outChannels: channels,
            levels,
            scaleKernel,
            norm,
            deformable: deform === "pconvs" || deform === "all",
          }),
      );
    this.pconvs = stack();
    this.boxPconvs = branches === "separate" ? stack() : [];
    this.clsConv = new ExtraConv(config);
    this.boxConv = new ExtraConv(config);
  }

  /** Levels finest first, [N, C, H_l, W_l] -> features of both branches for each level. */
  forward(levels: readonly Tensor[]): BranchFeatures[] {
    const run = (stack: readonly PConv[]): Tensor[] =>
      stack.reduce((maps, pconv) => pconv.forward(maps), [...levels]);
    const clsMaps = run(this.pconvs);
    const boxMaps = this.config.branches === "separate" ? run(this.boxPconvs) : clsMaps;
    const cls = this.clsConv.forward(clsMaps);
    const box = this.boxConv.forward(boxMaps);
    return cls.map((map, i) => ({ cls: map, box: box[i] as Tensor }));
  }
}
