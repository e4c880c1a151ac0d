import { nn, type Tensor } from "@sepc/engine";
import type { FoldsNorm } from "../../../ops/foldBatchNorm.js";
import { OffsetConv } from "../../layers/offsetConv.js";
import { buildPyramidNorm, foldInto, type PyramidNorm, type PyramidNormKind } from "../sepc/pyramidNorm.js";

export interface StackConfig {
  readonly channels: number;
  readonly levels: number;
  readonly depth: number;
  readonly norm: PyramidNormKind;
  /** Of group normalisation; 32 unless told. */
  readonly groups?: number | undefined;
  /** Whether kernels deform, on all levels but the lowest. */
  readonly deformable: boolean;
}

/** A branch of RetinaNet's head: 3×3 convolutions shared by all levels, each with a ReLU. */
export class ConvStack extends nn.Module implements FoldsNorm {
  readonly convs: OffsetConv[];
  readonly norms: PyramidNorm[];

  constructor({ channels, levels, depth, norm, groups, deformable }: StackConfig) {
    super();
    const layers = Array.from({ length: depth });
    this.convs = layers.map(
      () => new OffsetConv({ inChannels: channels, outChannels: channels, deformable }),
    );
    this.norms = layers.map(() => buildPyramidNorm(norm, channels, levels, groups));
  }

  foldNorm(): void {
    for (const [i, conv] of this.convs.entries())
      this.norms[i] = foldInto(this.norms[i] as PyramidNorm, [conv]);
  }

  /** [N, C, H_l, W_l], finest first -> the same. */
  forward(levels: readonly Tensor[]): Tensor[] {
    return this.convs.reduce<Tensor[]>(
      (maps, conv, i) => {
        const after = maps.map((map, level) => conv.forward(map, level > 0));
        return (this.norms[i] as PyramidNorm).forwardRelu(after);
      },
      [...levels],
    );
  }
}
