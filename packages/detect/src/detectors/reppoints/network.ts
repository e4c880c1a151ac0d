import type { DecodeSpec, PointPriors } from "@sepc/core";
import { ops, scope, type Tensor } from "@sepc/engine";
import { cellsCut, DenseFeatures } from "../../models/denseNetwork.js";
import { type CandidateTensors, selectCandidates } from "../../models/heads/select.js";
import { DetectorNetwork, type Losses, type Truth } from "../detector.js";
import { stridesOf } from "../schema.js";
import type { RepPointsConfig } from "./config.js";
import { RepPointsHead, type RepPointsOutput } from "./head.js";
import { repPointsTargets } from "./targets.js";
import { type RepPointsTraining, repPointsLosses } from "./training.js";

/** Boxes in cells from their point [N, 4, H, W] -> distances of its sides in pixels [N, 4, H, W]. */
export function distancesOf(boxes: Tensor, stride: number): Tensor {
  return scope(() => ops.cat([boxes.narrow(1, 0, 2).neg(), boxes.narrow(1, 2, 2)], 1).mul(stride));
}

/** Yang et al. 2019: each cell tells a set of points, twice; where they lie is where features are read. */
export class RepPoints extends DetectorNetwork<RepPointsOutput[]> {
  readonly features: DenseFeatures;
  readonly head: RepPointsHead;
  readonly decodeSpec: DecodeSpec;
  readonly #training: RepPointsTraining;

  /** @param classes how many there are, without background */
  constructor(
    readonly config: RepPointsConfig,
    readonly classes: number,
  ) {
    super();
    const { neck, tower, legacyBoxes, postprocess } = config;
    const priors: PointPriors = { kind: "points", strides: stridesOf(neck.levels), offset: 0 };
    this.features = new DenseFeatures(config);
    this.head = new RepPointsHead({ ...config, channels: neck.channels, classes });
    this.decodeSpec = {
      priors,
      coder: { kind: "distance" },
      legacyBoxes,
      clipToEdge: true,
      cut: cellsCut(tower),
      postprocess,
    };
    this.#training = { ...config, priors };
  }

  protected override fieldNames(): Record<string, string> {
    return { features: "" };
  }

  forward(images: Tensor): RepPointsOutput[] {
    const { cls, box } = this.features.forward(images);
    return cls.map((map, level) => this.head.forward(map, box[level] as Tensor));
  }

  losses(raw: RepPointsOutput[], truths: readonly Truth[]): Losses {
    const boxes = (points: Tensor): Tensor => this.head.boxes(points);
    const targets = repPointsTargets(this.#training, raw, boxes, truths);
    return repPointsLosses(this.#training, raw, boxes, targets);
  }

  candidates(raw: RepPointsOutput[]): CandidateTensors {
    const { strides } = this.decodeSpec.priors;
    const levels = raw.map(({ cls, refine }, level) => ({
      cls,
      box: distancesOf(this.head.boxes(refine), strides[level] as number),
    }));
    return selectCandidates(levels, { anchorsPerCell: 1, perLevel: this.config.postprocess.perLevel });
  }
}
