import type { TransformConfig } from "../data/transforms/pipeline.js";
import type { RunConfig } from "./config.js";

/** A run's transforms in training. */
export function trainTransforms({ input }: RunConfig): TransformConfig {
  const { scales, draw, flip, crop, photometric, sizeDivisor, mean, std, channels } = input;
  return { scales, draw, flip, crop, photometric, sizeDivisor, mean, std, channels };
}

/** The same without what is random. */
export function testTransforms({ input }: RunConfig): TransformConfig {
  const { scales, testScale = scales[0] as [number, number], sizeDivisor, mean, std, channels } = input;
  return {
    scales: [testScale],
    draw: "value",
    flip: 0,
    crop: 0,
    photometric: 0,
    sizeDivisor,
    mean,
    std,
    channels,
  };
}
