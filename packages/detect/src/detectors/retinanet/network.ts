import type { AnchorPriors, DecodeSpec, DeltaCoder } from "@sepc/core";
import type { Tensor } from "@sepc/engine";
import { cellsCut, DenseNetwork } from "../../models/denseNetwork.js";
import type { LevelOutput } from "../../models/heads/dense.js";
import { type CandidateTensors, selectCandidates } from "../../models/heads/select.js";
import { DetectorNetwork, type Losses, type Truth } from "../detector.js";
import { anchorsOf } from "../schema.js";
import type { RetinaNetConfig } from "./config.js";
import { batchTargets, type RetinaTrainingConfig, retinaLosses } from "./training.js";

/** Lin et al. 2017. */
export class RetinaNet extends DetectorNetwork<LevelOutput[]> {
  readonly network: DenseNetwork;
  readonly decodeSpec: DecodeSpec;
  readonly #anchorsPerCell: number;
  readonly #training: RetinaTrainingConfig;

  /** @param classes how many there are, without background */
  constructor(
    readonly config: RetinaNetConfig,
    readonly classes: number,
  ) {
    super();
    const { coder, legacyBoxes, postprocess, assigner, focal, beta, allowedBorder } = config;
    const anchors: AnchorPriors = anchorsOf(config);
    this.#anchorsPerCell = anchors.scales.length * anchors.ratios.length;
    this.network = new DenseNetwork(config, { anchorsPerCell: this.#anchorsPerCell, classes });
    const deltas: DeltaCoder = { kind: "delta", ...coder, legacyBoxes };
    this.decodeSpec = {
      priors: anchors,
      coder: deltas,
      legacyBoxes,
      cut: cellsCut(config.tower),
      postprocess,
    };
    this.#training = { anchors, coder: deltas, assigner, focal, beta, allowedBorder };
  }

  protected override fieldNames(): Record<string, string> {
    return { network: "" };
  }

  forward(images: Tensor): LevelOutput[] {
    return this.network.forward(images);
  }

  losses(raw: LevelOutput[], truths: readonly Truth[]): Losses {
    const sizes = raw.map(({ cls }) => cls.shape.slice(2) as [number, number]);
    return retinaLosses(this.#training, raw, batchTargets(this.#training, sizes, truths));
  }

  candidates(raw: LevelOutput[]): CandidateTensors {
    return selectCandidates(raw, {
      anchorsPerCell: this.#anchorsPerCell,
      perLevel: this.config.postprocess.perLevel,
    });
  }
}
