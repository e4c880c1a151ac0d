import { nn, ones, type Tensor } from "@sepc/engine";
import { fullPrecision } from "../layers/fullPrecision.js";
import type { LevelOutput } from "./dense.js";

export interface CenternessHeadConfig {
  readonly channels: number;
  readonly classes: number;
  readonly levels: number;
  /** Whether the box branch tells centre-ness, or the class branch. */
  readonly centernessOnBox: boolean;
}

/** What a head with centre-ness says of one level, with one prior a cell. */
export interface CenternessOutput extends LevelOutput {
  /** [N, 1, H, W] before the sigmoid */
  readonly centerness: Tensor;
}

function conv(channels: number, outChannels: number): nn.Conv2d {
  const made = new nn.Conv2d({ inChannels: channels, outChannels, kernelSize: 3, padding: 1 });
  nn.init.normal_(made.weight.tensor, 0, 0.01);
  nn.init.constant_((made.bias as nn.Parameter).tensor, 0);
  return made;
}

/** The three 3×3 convolutions that end the branches of FCOS and ATSS, and a scale of the box map for each level. */
export class CenternessHead extends nn.Module {
  readonly cls: nn.Conv2d;
  readonly box: nn.Conv2d;
  readonly centerness: nn.Conv2d;
  readonly scales: nn.Parameter[];
  readonly #centernessOnBox: boolean;

  constructor({ channels, classes, levels, centernessOnBox }: CenternessHeadConfig) {
    super();
    this.#centernessOnBox = centernessOnBox;
    this.cls = conv(channels, classes);
    this.box = conv(channels, 4);
    this.centerness = conv(channels, 1);
    nn.init.biasByPriorProbability_((this.cls.bias as nn.Parameter).tensor, 0.01);
    this.scales = Array.from({ length: levels }, () => new nn.Parameter(ones([])));
  }

  /** Features of a level, [N, C, H, W] each -> its maps. */
  forward(cls: Tensor, box: Tensor, level: number): CenternessOutput {
    return {
      cls: fullPrecision(this.cls.forward(cls)),
      box: fullPrecision(this.box.forward(box)).mul((this.scales[level] as nn.Parameter).tensor),
      centerness: fullPrecision(this.centerness.forward(this.#centernessOnBox ? box : cls)),
    };
  }
}
