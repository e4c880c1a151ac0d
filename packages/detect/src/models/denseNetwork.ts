import { nn, type Tensor } from "@sepc/engine";
import { ResNet, type ResNetConfig } from "./backbones/resnet.js";
import { DensePrediction, type DensePredictionConfig, type LevelOutput } from "./heads/dense.js";
import { Fpn, type FpnConfig } from "./necks/fpn.js";
import { buildTower, type Tower, type TowerConfig } from "./necks/towers/index.js";

export interface DenseNetworkConfig {
  readonly backbone: ResNetConfig;
  readonly neck: Pick<FpnConfig, "channels" | "levels" | "extraFrom" | "reluBetweenExtra">;
  readonly tower: TowerConfig;
}

/** The part that one-stage detectors share: picture -> backbone -> feature pyramid from c3 -> tower. */
export class DenseFeatures extends nn.Module {
  readonly backbone: ResNet;
  readonly neck: Fpn;
  readonly tower: Tower;

  constructor(config: DenseNetworkConfig) {
    super();
    const { channels, levels } = config.neck;
    this.backbone = new ResNet(config.backbone);
    this.neck = new Fpn({ ...config.neck, inLevels: this.backbone.levels.slice(1) });
    this.tower = buildTower(config.tower, { channels, levels });
  }

  /** [N, 3, H, W] -> features of both branches, finest first. */
  forward(images: Tensor): ReturnType<Tower["forward"]> {
    return this.tower.forward(this.neck.forward(this.backbone.forward(images).slice(1)));
  }
}

/** The network of detectors with RetinaNet's head: picture -> class and box maps. */
export class DenseNetwork extends nn.Module {
  readonly features: DenseFeatures;
  readonly head: DensePrediction;

  constructor(config: DenseNetworkConfig, head: Omit<DensePredictionConfig, "channels">) {
    super();
    this.features = new DenseFeatures(config);
    this.head = new DensePrediction({ ...head, channels: config.neck.channels });
  }

  protected override fieldNames(): Record<string, string> {
    return { features: "" };
  }

  /** [N, 3, H, W] -> maps of each level, finest first. */
  forward(images: Tensor): LevelOutput[] {
    const { cls, box } = this.features.forward(images);
    return cls.map((map, level) => this.head.forward(map, box[level] as Tensor));
  }
}

/** Cells by which maps are smaller than their level. */
export const cellsCut = (tower: TowerConfig): number =>
  tower.extraPadding === 0 && tower.kind !== "plain" && tower.kind !== "deformable" ? 2 : 0;
