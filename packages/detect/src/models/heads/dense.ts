import { nn, type Tensor } from "@sepc/engine";
import { fullPrecision } from "../layers/fullPrecision.js";

export interface DensePredictionConfig {
  readonly channels: number;
  readonly anchorsPerCell: number;
  readonly classes: number;
  /** Score that every class starts with (Lin et al. 2017, section 4.1); 0.01 unless told. */
  readonly prior?: number | undefined;
}

/** The two 3×3 convolutions that end RetinaNet's branches, shared by all levels. */
export class DensePrediction extends nn.Module {
  readonly cls;
  readonly box;

  constructor(readonly config: DensePredictionConfig) {
    super();
    const { channels, anchorsPerCell, classes, prior = 0.01 } = config;
    const made = (outChannels: number): InstanceType<typeof nn.Conv2d> => {
      const conv = new nn.Conv2d({ inChannels: channels, outChannels, kernelSize: 3, padding: 1 });
      nn.init.normal_(conv.weight.tensor, 0, 0.01);
      return conv;
    };
    this.cls = made(anchorsPerCell * classes);
    this.box = made(anchorsPerCell * 4);
    if (this.cls.bias !== null) nn.init.biasByPriorProbability_(this.cls.bias.tensor, prior);
    if (this.box.bias !== null) nn.init.constant_(this.box.bias.tensor, 0);
  }

  /** Features of a level, [N, C, H, W] each -> class scores before the sigmoid, [N, A·K, H, W], and boxes, [N, A·4, H, W]. */
  forward(cls: Tensor, box: Tensor): LevelOutput {
    return { cls: fullPrecision(this.cls.forward(cls)), box: fullPrecision(this.box.forward(box)) };
  }
}

/** What a dense head says of one level. */
export interface LevelOutput {
  /** [N, A·K, H, W] before the sigmoid */
  readonly cls: Tensor;
  /** [N, A·4, H, W] for the coder */
  readonly box: Tensor;
}
