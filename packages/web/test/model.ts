// Small networks with random weights, exported as trained ones are.
import { manualSeed, nn } from "@sepc/engine";
import { buildDetector } from "../../detect/src/detectors/index.js";
import { type ExportModelOptions, exportModel } from "../../detect/src/export/exportModel.js";
import { preset } from "../../detect/src/presets/index.js";
import { parseRunConfig } from "../../detect/src/train/config.js";

export interface ModelOptions {
  /** Head tower; sepc: pyramid convolutions whose kernels all deform. */
  readonly tower: "sepc-lite" | "sepc";
  readonly classes: readonly string[];
  /** Long and short side of the input in pixels. */
  readonly scale: readonly [number, number];
  /** As given to `sepc export`; with maps and offsets unless told. */
  readonly options?: ExportModelOptions;
}

/** The demo's network with weights drawn from a seed: offsets that are not zero, scores on both sides of thresholds. */
export async function randomModel(wanted: ModelOptions): Promise<Uint8Array> {
  const { tower, classes, scale, options = { views: true } } = wanted;
  manualSeed(7);
  const run = parseRunConfig(preset("retinanet_demo_sepc-lite"));
  const model = parseRunConfig({
    ...run,
    model: { ...run.model, tower: { ...run.model.tower, kind: tower } },
  }).model;
  const network = buildDetector(model, classes.length);
  for (const [name, { tensor }] of network.namedParameters()) {
    if (/conv_offset\.(weight|bias)$/.test(name)) nn.init.normal_(tensor, 0, 0.03);
    if (/head\.(cls|box)\.weight$/.test(name)) nn.init.normal_(tensor, 0, 1);
  }
  const { sizeDivisor, mean, std, channels } = run.input;
  try {
    return await exportModel(
      network.eval(),
      {
        name: `random ${tower}`,
        detector: model.detector,
        classes,
        input: { scale, sizeDivisor, mean, std, channels },
      },
      options,
    );
  } finally {
    network.free();
  }
}
