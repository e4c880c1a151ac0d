import type { DecodeSpec, PointPriors } from "@sepc/core";
import type { Tensor } from "@sepc/engine";
import { cellsCut, DenseFeatures } from "../../models/denseNetwork.js";
import type { CenternessOutput } from "../../models/heads/centerness.js";
import { type CandidateTensors, selectCandidates } from "../../models/heads/select.js";
import { DetectorNetwork, type Losses, type Truth } from "../detector.js";
import { stridesOf } from "../schema.js";
import type { FcosConfig } from "./config.js";
import { FcosHead } from "./head.js";
import { type FcosTraining, fcosLosses, fcosTargets } from "./training.js";

/** Tian et al. 2019: each point of each level tells the distances to its box's sides. */
export class Fcos extends DetectorNetwork<CenternessOutput[]> {
  readonly features: DenseFeatures;
  readonly head: FcosHead;
  readonly decodeSpec: DecodeSpec;
  readonly #training: FcosTraining;

  /** @param classes how many there are, without background */
  constructor(
    readonly config: FcosConfig,
    readonly classes: number,
  ) {
    super();
    const { neck, tower, legacyBoxes, postprocess, focal, boxLoss, sizeLimits, centerRadius } = config;
    const { normalised, centernessOnBox } = config;
    const strides = stridesOf(neck.levels);
    const priors: PointPriors = { kind: "points", strides, offset: 0.5 };
    this.features = new DenseFeatures(config);
    this.head = new FcosHead({ channels: neck.channels, classes, strides, normalised, centernessOnBox });
    this.decodeSpec = { priors, coder: { kind: "distance" }, legacyBoxes, cut: cellsCut(tower), postprocess };
    const ends = [-1, ...sizeLimits.slice(0, neck.levels - 1), 1e8];
    const ranges = strides.map((_, level) => [ends[level] as number, ends[level + 1] ?? 1e8] as const);
    const assigner = { ranges, strides, centerRadius, legacyBoxes };
    this.#training = { priors, assigner, focal, boxLoss, legacyBoxes };
  }

  protected override fieldNames(): Record<string, string> {
    return { features: "" };
  }

  forward(images: Tensor): CenternessOutput[] {
    const { cls, box } = this.features.forward(images);
    return cls.map((map, level) => this.head.forward(map, box[level] as Tensor, level));
  }

  losses(raw: CenternessOutput[], truths: readonly Truth[]): Losses {
    const sizes = raw.map(({ cls }) => cls.shape.slice(2) as [number, number]);
    return fcosLosses(this.#training, raw, fcosTargets(this.#training, sizes, truths));
  }

  candidates(raw: CenternessOutput[]): CandidateTensors {
    return selectCandidates(raw, { anchorsPerCell: 1, perLevel: this.config.postprocess.perLevel });
  }
}
