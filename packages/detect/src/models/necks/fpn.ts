import { check, nn, ops, type Tensor } from "@sepc/engine";
import type { Level } from "../level.js";

export interface FpnConfig {
  /** The backbone's maps that the pyramid is built from, finest first: c3 to c5 for a RetinaNet. */
  readonly inLevels: readonly Level[];
  readonly channels: number;
  /** Maps that come out, finest first. */
  readonly levels: number;
  /**
   * Where those above the backbone's coarsest come from: a convolution of its map ("c5", as RetinaNet), a convolution
   * of the pyramid's map ("p5", as FCOS), or every second cell of it ("subsample", as Faster R-CNN). "c5" unless told.
   */
  readonly extraFrom?: "c5" | "p5" | "subsample" | undefined;
  /** A ReLU between two extra convolutions (and with "p5" in mmdetection only there). */
  readonly reluBetweenExtra?: boolean | undefined;
}

function conv(inChannels: number, outChannels: number, kernelSize: number, stride = 1): nn.Conv2d {
  const made = new nn.Conv2d({ inChannels, outChannels, kernelSize, stride, padding: kernelSize >> 1 });
  nn.init.xavierUniform_(made.weight.tensor);
  nn.init.constant_((made.bias as nn.Parameter).tensor, 0);
  return made;
}

/**
 * Feature pyramid network (Lin et al. 2017): coarse maps, made larger, are added to finer ones.
 * Backbone maps [N, C_l, H_l, W_l] -> maps of one number of channels, finest first.
 */
export class Fpn extends nn.Module {
  readonly lateralConvs: nn.Conv2d[];
  /** One for each map of the backbone, then the extra ones. */
  readonly fpnConvs: nn.Conv2d[];

  constructor(readonly config: FpnConfig) {
    super();
    const { inLevels, channels, levels, extraFrom = "c5" } = config;
    check(
      levels >= inLevels.length,
      () => `Fpn: expected at least as many levels as the backbone gives (${inLevels.length}), got ${levels}`,
    );
    this.lateralConvs = inLevels.map((level) => conv(level.channels, channels, 1));
    this.fpnConvs = inLevels.map(() => conv(channels, channels, 3));
    if (extraFrom === "subsample") return;
    const last = (inLevels.at(-1) as Level).channels;
    for (let i = 0; i < levels - inLevels.length; i++)
      this.fpnConvs.push(conv(i === 0 && extraFrom === "c5" ? last : channels, channels, 3, 2));
  }

  protected override fieldNames(): Record<string, string> {
    return { lateralConvs: "lateral_convs", fpnConvs: "fpn_convs" };
  }

  get levels(): Level[] {
    const { inLevels, channels, levels } = this.config;
    const first = inLevels[0] as Level;
    const number = Number(first.name.slice(1));
    return Array.from({ length: levels }, (_, i) => ({
      name: `p${number + i}`,
      channels,
      stride: first.stride * 2 ** i,
    }));
  }

  /** The backbone's maps of `inLevels` -> the pyramid. */
  forward(maps: readonly Tensor[]): Tensor[] {
    const merged = this.lateralConvs.map((lateral, i) => lateral.forward(maps[i] as Tensor));
    for (let i = merged.length - 2; i >= 0; i--) {
      const fine = merged[i] as Tensor;
      const size = fine.shape.slice(2) as [number, number];
      merged[i] = fine.add(ops.interpolate(merged[i + 1] as Tensor, { size, mode: "nearest" }));
    }
    const pyramid = merged.map((map, i) => (this.fpnConvs[i] as nn.Conv2d).forward(map));
    return this.#addExtra(pyramid, maps.at(-1) as Tensor);
  }

  #addExtra(pyramid: Tensor[], coarsest: Tensor): Tensor[] {
    const { inLevels, levels, extraFrom = "c5", reluBetweenExtra = false } = this.config;
    for (let i = inLevels.length; i < levels; i++) {
      const before = pyramid.at(-1) as Tensor;
      if (extraFrom === "subsample") {
        pyramid.push(ops.maxPool2d(before, 1, { stride: 2 }));
        continue;
      }
      const first = i === inLevels.length;
      const source = first && extraFrom === "c5" ? coarsest : before;
      pyramid.push(
        (this.fpnConvs[i] as nn.Conv2d).forward(reluBetweenExtra && !first ? source.relu() : source),
      );
    }
    return pyramid;
  }
}
