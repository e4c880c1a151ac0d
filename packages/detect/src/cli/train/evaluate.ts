import type { Device } from "@sepc/engine";
import type { DetectionDataset } from "../../data/types.js";
import type { Detector } from "../../detectors/index.js";
import type { RunConfig } from "../../train/config.js";
import type { Evaluation } from "../../train/fit.js";

/** What measures a network on a validation set. */
export function makeEvaluation(
  _detector: Detector,
  _dataset: DetectionDataset,
  _config: RunConfig,
  _device: Device,
): (() => Promise<Evaluation>) | undefined {
  return undefined;
}
