import type { Device } from "@sepc/engine";
import { DataLoader } from "../data/loader.js";
import type { DetectionDataset } from "../data/types.js";
import type { DetectorNetwork } from "../detectors/index.js";
import type { ImageDetections } from "../evaluation/dataset.js";
import type { RunConfig } from "./config.js";
import { testTransforms } from "./data.js";
import { predict } from "./predict.js";

export interface DetectAllOptions {
  readonly device?: Device | undefined;
  readonly batchSize?: number | undefined;
  readonly workers?: number | undefined;
  readonly precision?: "float32" | "bfloat16" | undefined;
  readonly onBatch?: ((images: number) => void) | undefined;
}

/** Runs a detector in evaluation mode over a data set, picture by picture in its order. Unreadable pictures have none. */
export async function detectAll(
  detector: DetectorNetwork,
  dataset: DetectionDataset,
  config: RunConfig,
  options: DetectAllOptions = {},
): Promise<ImageDetections[]> {
  const { device, batchSize = 4, workers = config.workers, precision, onBatch } = options;
  const loader = new DataLoader(dataset, {
    batchSize,
    workers,
    transforms: testTransforms(config),
    onBroken: "skip",
  });
  const place = new Map(dataset.images.map((image, i) => [image.file, i]));
  const found: ImageDetections[] = [];
  try {
    for await (const { pixels, shape, samples, skipped } of loader.epoch(0)) {
      if (samples.length > 0) {
        const frames = samples.map(({ width, height, scaleX, scaleY }) => ({
          inputWidth: width,
          inputHeight: height,
          scaleX,
          scaleY,
        }));
        const results = predict(detector, pixels, shape, frames, { device, precision });
        for (const [i, { image }] of samples.entries())
          found.push({ image: place.get(image.file) as number, detections: results[i] ?? [] });
      }
      for (const { file } of skipped) found.push({ image: place.get(file) as number, detections: [] });
      onBatch?.(samples.length + skipped.length);
    }
  } finally {
    await loader.close();
  }
  return found.sort((a, b) => a.image - b.image);
}
