import { nn, type Tensor, zeros } from "@sepc/engine";
import { fullPrecision } from "../../models/layers/fullPrecision.js";
import { deformConv2d } from "../../ops/deformConv.js";
import { type BoxFrom, pointsToBoxes, regularGrid, scaleGradient } from "./points.js";

export interface RepPointsHeadConfig {
  readonly channels: number;
  readonly classes: number;
  readonly kernelSize: number;
  readonly boxFrom: BoxFrom;
  readonly momentGradient: number;
  readonly offsetGradient: number;
}

/** What RepPoints says of one level: points, (y, x) for each, in cells from the cell's own. */
export interface RepPointsOutput {
  /** [N, K, H, W] before the sigmoid */
  readonly cls: Tensor;
  /** [N, 2·P, H, W] */
  readonly init: Tensor;
  /** [N, 2·P, H, W] */
  readonly refine: Tensor;
}

function conv(inChannels: number, outChannels: number, kernelSize: number): nn.Conv2d {
  const made = new nn.Conv2d({ inChannels, outChannels, kernelSize, padding: kernelSize >> 1 });
  nn.init.normal_(made.weight.tensor, 0, 0.01);
  nn.init.constant_((made.bias as nn.Parameter).tensor, 0);
  return made;
}

/** A convolution without bias that reads where it is told. */
class PointConv extends nn.Module {
  readonly weight: nn.Parameter;

  constructor(channels: number, kernelSize: number) {
    super();
    this.weight = new nn.Parameter(
      nn.init.normal_(zeros([channels, channels, kernelSize, kernelSize]), 0, 0.01),
    );
  }

  /** [N, C, H, W] and offsets [N, 2·k·k, H, W] from the regular grid, in cells -> [N, C, H, W]. */
  forward(x: Tensor, offsets: Tensor): Tensor {
    return deformConv2d(x, this.weight.tensor, offsets, { padding: (this.weight.shape[2] as number) >> 1 });
  }
}

/** First points from the box branch; where they lie, classes and finer points are read (Figure 2). */
export class RepPointsHead extends nn.Module {
  readonly initConv: nn.Conv2d;
  readonly initOut: nn.Conv2d;
  readonly clsConv: PointConv;
  readonly clsOut: nn.Conv2d;
  readonly refineConv: PointConv;
  readonly refineOut: nn.Conv2d;
  /** Logarithms of the factors of deviations along x and y, [2]. */
  readonly momentTransfer: nn.Parameter | null;
  /** [1, 2·P, 1, 1] */
  readonly grid: nn.Buffer;

  constructor(readonly config: RepPointsHeadConfig) {
    super();
    const { channels, classes, kernelSize, boxFrom } = config;
    const coordinates = 2 * kernelSize ** 2;
    this.initConv = conv(channels, channels, 3);
    this.initOut = conv(channels, coordinates, 1);
    this.clsConv = new PointConv(channels, kernelSize);
    this.clsOut = conv(channels, classes, 1);
    this.refineConv = new PointConv(channels, kernelSize);
    this.refineOut = conv(channels, coordinates, 1);
    nn.init.biasByPriorProbability_((this.clsOut.bias as nn.Parameter).tensor, 0.01);
    this.momentTransfer = boxFrom === "moment" ? new nn.Parameter(zeros([2])) : null;
    this.grid = new nn.Buffer(regularGrid(kernelSize), false);
  }

  /** Features of a level, [N, C, H, W] each -> its maps. */
  forward(cls: Tensor, box: Tensor): RepPointsOutput {
    const init = fullPrecision(this.initOut.forward(this.initConv.forward(box).relu()));
    const offsets = scaleGradient(init, this.config.offsetGradient).sub(this.grid.tensor);
    const change = fullPrecision(this.refineOut.forward(this.refineConv.forward(box, offsets).relu()));
    return {
      cls: fullPrecision(this.clsOut.forward(this.clsConv.forward(cls, offsets).relu())),
      init,
      refine: change.add(init.detach()),
    };
  }

  /** Points [N, 2·P, ...] -> boxes [N, 4, ...], both in cells from the cell's own point. */
  boxes(points: Tensor): Tensor {
    const { boxFrom, momentGradient } = this.config;
    const factors = this.momentTransfer && scaleGradient(this.momentTransfer.tensor, momentGradient).exp();
    return pointsToBoxes(points, boxFrom, factors);
  }
}
