import { writeFileSync } from "node:fs";
import { manualSeed } from "@sepc/engine";
import { buildDetector, parseDetector } from "../../src/detectors/index.js";
import { exportModel } from "../../src/export/exportModel.js";

/** Classes of `writeTinyModel`'s detector. */
export const tinyClasses = ["cat", "dog"] as const;

/** Exports a narrow SEPC-lite RetinaNet with fresh weights, pictures of 64 pixels: it finds something everywhere. */
export async function writeTinyModel(file: string): Promise<void> {
  manualSeed(3);
  const config = parseDetector({
    detector: "retinanet",
    backbone: { depth: 18, width: 8, frozenStages: 0 },
    neck: { channels: 16 },
    tower: { kind: "sepc-lite", norm: "integrated", depth: 1 },
    postprocess: { scoreThreshold: 0.001, maxPerImage: 5 },
  });
  const network = buildDetector(config, tinyClasses.length).eval();
  const bytes = await exportModel(network, {
    name: "tiny",
    detector: "retinanet",
    classes: tinyClasses,
    input: { scale: [64, 64], sizeDivisor: 32, mean: [100, 100, 100], std: [50, 50, 50], channels: "rgb" },
  });
  network.free();
  writeFileSync(file, bytes);
}
