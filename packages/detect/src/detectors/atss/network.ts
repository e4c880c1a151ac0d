import type { AnchorPriors, DecodeSpec, DeltaCoder } from "@sepc/core";
import type { Tensor } from "@sepc/engine";
import { cellsCut, DenseFeatures } from "../../models/denseNetwork.js";
import { CenternessHead, type CenternessOutput } from "../../models/heads/centerness.js";
import { type CandidateTensors, selectCandidates } from "../../models/heads/select.js";
import { DetectorNetwork, type Losses, type Truth } from "../detector.js";
import { stridesOf } from "../schema.js";
import type { AtssConfig } from "./config.js";
import { type AtssTraining, atssLosses, atssTargets } from "./training.js";

/** Zhang et al. 2020: one anchor a cell; each object's own candidates say which of them are positive. */
export class Atss extends DetectorNetwork<CenternessOutput[]> {
  readonly features: DenseFeatures;
  readonly head: CenternessHead;
  readonly decodeSpec: DecodeSpec;
  readonly #training: AtssTraining;

  /** @param classes how many there are, without background */
  constructor(
    readonly config: AtssConfig,
    readonly classes: number,
  ) {
    super();
    const { neck, tower, anchorSide, assigner, focal, boxWeight, postprocess, legacyBoxes } = config;
    const strides = stridesOf(neck.levels);
    const anchors: AnchorPriors = {
      kind: "anchors",
      strides,
      ratios: [1],
      scales: [anchorSide],
      legacyBoxes,
    };
    const coder: DeltaCoder = { kind: "delta", ...config.coder, legacyBoxes };
    this.features = new DenseFeatures(config);
    this.head = new CenternessHead({
      channels: neck.channels,
      classes,
      levels: neck.levels,
      centernessOnBox: true,
    });
    this.decodeSpec = { priors: anchors, coder, legacyBoxes, cut: cellsCut(tower), postprocess };
    this.#training = { anchors, coder, assigner, focal, boxWeight };
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
    return atssLosses(this.#training, raw, atssTargets(this.#training, sizes, truths));
  }

  candidates(raw: CenternessOutput[]): CandidateTensors {
    return selectCandidates(raw, { anchorsPerCell: 1, perLevel: this.config.postprocess.perLevel });
  }
}
