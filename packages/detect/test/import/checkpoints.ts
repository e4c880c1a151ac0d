// What tests of sepc import share: checkpoints of the official code's names.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { manualSeed, noGrad, randn, scope } from "@sepc/engine";
import { afterAll } from "vitest";
import { buildDetector, type DetectorNetwork } from "../../src/detectors/index.js";
import { preset } from "../../src/presets/index.js";
import { parseRunConfig, type RunConfig, withSetting } from "../../src/train/config.js";
import { officialNames } from "./officialNames.js";
import { saveTorch, type TorchFile } from "./torchFile.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-import-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

/** A path that is not taken. */
export const fresh = (name: string): string => join(folder, `${++count}-${name}`);

/** Settings that make a preset small enough for a test. */
export const narrow = [
  "model.backbone.width=8",
  "model.neck.channels=8",
  "model.tower.depth=2",
  "input.testScale=[288,288]",
];
export const sets = narrow.flatMap((setting) => ["--set", setting]);

/** A narrow network of the official code's conventions, with weights and statistics as if trained. */
export function trained(name: string, classes: number): { config: RunConfig; network: DetectorNetwork } {
  const base = preset(name);
  const pyramid = base.model.tower.kind !== "plain";
  const conventions = ["model.legacyBoxes=true", `model.tower.extraPadding=${pyramid ? 0 : 1}`];
  const config = parseRunConfig([...narrow, ...conventions].reduce<unknown>(withSetting, base));
  manualSeed(7);
  const network = buildDetector(config.model, classes);
  noGrad(() =>
    scope(() => {
      for (const [key, value] of network.stateDict()) {
        if (key.endsWith("running_var")) value.copy_(randn(value.shape).mul(0.1).exp());
        else if (key.startsWith("head.cls")) value.copy_(randn(value.shape).mul(0.3));
        else if (/\.(bias|running_mean)$|conv_offset/.test(key)) value.add_(randn(value.shape).mul(0.1));
      }
    }),
  );
  return { config, network };
}

/** Writes a network as the official code would; returns the file. */
export function official(network: DetectorNetwork, meta: TorchFile["meta"] = {}): string {
  const file = fresh("checkpoint.pth");
  scope(() => saveTorch(file, officialNames(network.stateDict()), { meta }));
  return file;
}
