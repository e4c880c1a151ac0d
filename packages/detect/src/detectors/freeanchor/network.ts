import type { DecodeSpec, DeltaCoder } from "@sepc/core";
import type { Tensor } from "@sepc/engine";
import { cellsCut, DenseNetwork } from "../../models/denseNetwork.js";
import type { LevelOutput } from "../../models/heads/dense.js";
import { type CandidateTensors, selectCandidates } from "../../models/heads/select.js";
import { DetectorNetwork, type Losses, type Truth } from "../detector.js";
import { anchorsOf } from "../schema.js";
import type { FreeAnchorConfig } from "./config.js";
import { type FreeAnchorTraining, freeAnchorLosses } from "./training.js";

/** Zhang et al. 2019: RetinaNet's network, which learns itself which anchors answer for an object. */
export class FreeAnchor extends DetectorNetwork<LevelOutput[]> {
  readonly network: DenseNetwork;
  readonly decodeSpec: DecodeSpec;
  readonly #anchorsPerCell: number;
  readonly #training: FreeAnchorTraining;

  /** @param classes how many there are, without background */
  constructor(
    readonly config: FreeAnchorConfig,
    readonly classes: number,
  ) {
    super();
    const { legacyBoxes, postprocess } = config;
    const anchors = anchorsOf(config);
    this.#anchorsPerCell = anchors.scales.length * anchors.ratios.length;
    this.network = new DenseNetwork(config, { anchorsPerCell: this.#anchorsPerCell, classes });
    const coder: DeltaCoder = { kind: "delta", ...config.coder, legacyBoxes };
    this.decodeSpec = { priors: anchors, coder, legacyBoxes, cut: cellsCut(config.tower), postprocess };
    this.#training = { ...config, anchors, coder };
  }

  protected override fieldNames(): Record<string, string> {
    return { network: "" };
  }

  forward(images: Tensor): LevelOutput[] {
    return this.network.forward(images);
  }

  losses(raw: LevelOutput[], truths: readonly Truth[]): Losses {
    return freeAnchorLosses(this.#training, raw, truths);
  }

  candidates(raw: LevelOutput[]): CandidateTensors {
    return selectCandidates(raw, {
      anchorsPerCell: this.#anchorsPerCell,
      perLevel: this.config.postprocess.perLevel,
    });
  }
}
