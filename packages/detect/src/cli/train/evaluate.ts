import type { Device } from "@sepc/engine";
import type { DetectionDataset } from "../../data/types.js";
import type { DetectorNetwork } from "../../detectors/index.js";
import { evaluateDetections, metricsOf } from "../../evaluation/dataset.js";
import type { RunConfig } from "../../train/config.js";
import { detectAll } from "../../train/detectAll.js";
import type { Evaluation } from "../../train/fit.js";
import { Progress } from "../progress.js";

/** What measures a network on a validation set. */
export function makeEvaluation(
  detector: DetectorNetwork,
  dataset: DetectionDataset,
  config: RunConfig,
  device: Device,
): () => Promise<Evaluation> {
  return async () => {
    const bar = new Progress({ total: dataset.images.length, unit: "images", label: "validation" });
    const found = await detectAll(detector, dataset, config, {
      device,
      onBatch: (images) => bar.advance(images),
    });
    bar.finish();
    const metrics = metricsOf(evaluateDetections(dataset, found));
    return { ap: metrics.AP, metrics };
  };
}
