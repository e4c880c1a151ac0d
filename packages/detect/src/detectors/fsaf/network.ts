import type { AnchorPriors, DecodeSpec, TblrCoder } from "@sepc/core";
import { nn, type Tensor } from "@sepc/engine";
import { cellsCut, DenseNetwork } from "../../models/denseNetwork.js";
import type { LevelOutput } from "../../models/heads/dense.js";
import { type CandidateTensors, selectCandidates } from "../../models/heads/select.js";
import { DetectorNetwork, type Losses, type Truth } from "../detector.js";
import { stridesOf } from "../schema.js";
import type { FsafConfig } from "./config.js";
import { type FsafTraining, fsafLosses, fsafTargets } from "./training.js";

/** Zhu et al. 2019: one square prior a cell; in training each object chooses its level. */
export class Fsaf extends DetectorNetwork<LevelOutput[]> {
  readonly network: DenseNetwork;
  readonly decodeSpec: DecodeSpec;
  readonly #training: FsafTraining;

  /** @param classes how many there are, without background */
  constructor(
    readonly config: FsafConfig,
    readonly classes: number,
  ) {
    super();
    const { legacyBoxes, postprocess, neck, assigner, focal, tower } = config;
    const priors: AnchorPriors = {
      kind: "anchors",
      strides: stridesOf(neck.levels),
      ratios: [1],
      scales: [1],
      legacyBoxes,
    };
    this.network = new DenseNetwork(config, { anchorsPerCell: 1, classes });
    // Distances are positive: they come out of a ReLU, which at 0 would never learn.
    nn.init.constant_((this.network.head.box.bias as nn.Parameter).tensor, 1);
    const coder: TblrCoder = { kind: "tblr", legacyBoxes };
    this.decodeSpec = { priors, coder, legacyBoxes, cut: cellsCut(tower), postprocess };
    this.#training = { priors, coder, assigner, focal };
  }

  protected override fieldNames(): Record<string, string> {
    return { network: "" };
  }

  forward(images: Tensor): LevelOutput[] {
    return this.network.forward(images).map(({ cls, box }) => ({ cls, box: box.relu() }));
  }

  losses(raw: LevelOutput[], truths: readonly Truth[]): Losses {
    const sizes = raw.map(({ cls }) => cls.shape.slice(2) as [number, number]);
    return fsafLosses(this.#training, raw, fsafTargets(this.#training, sizes, truths));
  }

  candidates(raw: LevelOutput[]): CandidateTensors {
    return selectCandidates(raw, { anchorsPerCell: 1, perLevel: this.config.postprocess.perLevel });
  }
}
