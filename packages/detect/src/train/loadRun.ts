import { existsSync, statSync } from "node:fs";
import { type Device, EngineError } from "@sepc/engine";
import { buildDetector, type DetectorNetwork } from "../detectors/index.js";
import { loadCheckpoint } from "./checkpoint.js";
import { parseRunConfig, type RunConfig } from "./config.js";
import { checkpointIn } from "./runFolder.js";

/** A trained network, ready for use. */
export interface TrainedRun {
  readonly detector: DetectorNetwork;
  readonly config: RunConfig;
  readonly classes: readonly string[];
  readonly checkpoint: string;
}

/** The checkpoint of a run: the best, else the last; or the file itself. */
function checkpointOf(path: string): string {
  if (existsSync(path) && statSync(path).isFile()) return path;
  const found = checkpointIn(path);
  if (found !== undefined) return found;
  throw new EngineError(
    "FILE",
    `${path}: expected a run of sepc train (best.safetensors or last.safetensors) or a checkpoint`,
  );
}

/**
 * Loads a run or a checkpoint; the running means of the weights where they were kept.
 * @throws EngineError FILE, STATE_MISMATCH ... naming the file and what is wrong
 */
export function loadRun(path: string, device: Device = "cpu"): TrainedRun {
  const checkpoint = checkpointOf(path);
  const { model, ema, optimizer, config: raw, classes } = loadCheckpoint(checkpoint);
  const config = parseRunConfig(raw, checkpoint);
  const detector = buildDetector(config.model, classes.length);
  detector.loadStateDict(ema ?? model);
  for (const part of [model, ema, optimizer?.tensors])
    for (const tensor of part?.values() ?? []) tensor.free();
  return { detector: detector.to({ device }).eval(), config, classes, checkpoint };
}
