import { nn, ones, type Tensor } from "@sepc/engine";
import type { LevelOutput } from "../../models/heads/dense.js";

export interface FcosHeadConfig {
  readonly channels: number;
  readonly classes: number;
  readonly strides: readonly number[];
  readonly normalised: boolean;
  readonly centernessOnBox: boolean;
}

/** What FCOS says of one level: distances in pixels, and how central a point lies in its box. */
export interface FcosOutput extends LevelOutput {
  /** [N, 1, H, W] before the sigmoid */
  readonly centerness: Tensor;
}

function conv(channels: number, outChannels: number): nn.Conv2d {
  const made = new nn.Conv2d({ inChannels: channels, outChannels, kernelSize: 3, padding: 1 });
  nn.init.normal_(made.weight.tensor, 0, 0.01);
  nn.init.constant_((made.bias as nn.Parameter).tensor, 0);
  return made;
}

/** The three convolutions that end FCOS's branches, and a scale of distances for each level. */
export class FcosHead extends nn.Module {
  readonly cls: nn.Conv2d;
  readonly box: nn.Conv2d;
  readonly centerness: nn.Conv2d;
  readonly scales: nn.Parameter[];

  constructor(readonly config: FcosHeadConfig) {
    super();
    const { channels, classes, strides } = config;
    this.cls = conv(channels, classes);
    this.box = conv(channels, 4);
    this.centerness = conv(channels, 1);
    nn.init.biasByPriorProbability_((this.cls.bias as nn.Parameter).tensor, 0.01);
    this.scales = strides.map(() => new nn.Parameter(ones([])));
  }

  /** Features of a level, [N, C, H, W] each -> its maps. */
  forward(cls: Tensor, box: Tensor, level: number): FcosOutput {
    const { normalised, centernessOnBox, strides } = this.config;
    const scaled = this.box.forward(box).mul((this.scales[level] as nn.Parameter).tensor);
    return {
      cls: this.cls.forward(cls),
      box: normalised ? scaled.relu().mul(strides[level] as number) : scaled.float().exp(),
      centerness: this.centerness.forward(centernessOnBox ? box : cls),
    };
  }
}
