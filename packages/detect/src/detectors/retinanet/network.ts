import type { AnchorPriors, DecodeSpec, DeltaCoder } from "@sepc/core";
import type { Tensor } from "@sepc/engine";
import { ResNet } from "../../models/backbones/resnet.js";
import { DensePrediction, type LevelOutput } from "../../models/heads/dense.js";
import { type CandidateTensors, selectCandidates } from "../../models/heads/select.js";
import { Fpn } from "../../models/necks/fpn.js";
import { buildTower, type Tower } from "../../models/necks/towers/index.js";
import { Detector, type Losses, type Truth } from "../detector.js";
import { type RetinaNetConfig, scalesOf, stridesOf } from "./config.js";
import { batchTargets, type RetinaTrainingConfig, retinaLosses } from "./training.js";

/** Picture -> backbone -> feature pyramid -> tower -> class and box maps of each level. */
export class RetinaNet extends Detector<LevelOutput[]> {
  readonly backbone: ResNet;
  readonly neck: Fpn;
  readonly tower: Tower;
  readonly head: DensePrediction;
  readonly decodeSpec: DecodeSpec;
  readonly #training: RetinaTrainingConfig;

  /** @param classes how many there are, without background */
  constructor(
    readonly config: RetinaNetConfig,
    readonly classes: number,
  ) {
    super();
    const { backbone, neck, tower, anchors, coder, legacyBoxes, postprocess } = config;
    this.backbone = new ResNet(backbone);
    this.neck = new Fpn({ ...neck, inLevels: this.backbone.levels.slice(1) });
    this.tower = buildTower(tower, { channels: neck.channels, levels: neck.levels });
    const scales = scalesOf(config);
    const anchorsPerCell = scales.length * anchors.ratios.length;
    this.head = new DensePrediction({ channels: neck.channels, anchorsPerCell, classes });
    const priors: AnchorPriors = {
      kind: "anchors",
      strides: stridesOf(neck.levels),
      ratios: anchors.ratios,
      scales,
      legacyBoxes,
    };
    const deltas: DeltaCoder = { kind: "delta", ...coder, legacyBoxes };
    const cut = tower.extraPadding === 0 && tower.kind !== "plain" ? 2 : 0;
    this.decodeSpec = { priors, coder: deltas, legacyBoxes, cut, postprocess };
    const { assigner, focal, beta, allowedBorder } = config;
    this.#training = { anchors: priors, coder: deltas, assigner, focal, beta, allowedBorder };
  }

  forward(images: Tensor): LevelOutput[] {
    const { cls, box } = this.tower.forward(this.neck.forward(this.backbone.forward(images).slice(1)));
    return cls.map((map, level) => this.head.forward(map, box[level] as Tensor));
  }

  losses(raw: LevelOutput[], truths: readonly Truth[]): Losses {
    const sizes = raw.map(({ cls }) => cls.shape.slice(2) as [number, number]);
    return retinaLosses(this.#training, raw, batchTargets(this.#training, sizes, truths));
  }

  candidates(raw: LevelOutput[]): CandidateTensors {
    const { anchors, postprocess } = this.config;
    const anchorsPerCell = scalesOf(this.config).length * anchors.ratios.length;
    return selectCandidates(raw, { anchorsPerCell, perLevel: postprocess.perLevel });
  }
}
