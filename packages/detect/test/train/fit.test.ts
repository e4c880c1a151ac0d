import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { io, manualSeed } from "@sepc/engine";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataLoader } from "../../src/data/loader.js";
import { openDataset } from "../../src/data/open.js";
import { synthesize } from "../../src/data/synth/synthesize.js";
import type { DetectionDataset } from "../../src/data/types.js";
import { buildDetector, type DetectorNetwork } from "../../src/detectors/index.js";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.js";
import { parseRunConfig, type RunConfig } from "../../src/train/config.js";
import { trainTransforms } from "../../src/train/data.js";
import { type FitOptions, type FitResult, fit } from "../../src/train/fit.js";
import { TrainingDiverged } from "../../src/train/step.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-fit-"));
let dataset: DetectionDataset;

beforeAll(async () => {
  await synthesize({
    out: join(folder, "data"),
    images: 8,
    width: 64,
    height: 64,
    min: 16,
    max: 48,
    objects: 2,
    splits: { train: 1 },
  });
  dataset = await openDataset(join(folder, "data"), { split: "train" });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function configOf(changes: Partial<RunConfig["schedule"]> = {}): RunConfig {
  return parseRunConfig({
    model: {
      detector: "retinanet",
      backbone: { depth: 18, width: 8, frozenStages: 0, normEval: false },
      neck: { channels: 16 },
      tower: { kind: "sepc-lite", norm: "integrated", depth: 1 },
    },
    input: { scales: [[64, 64]], photometric: 0.5 },
    schedule: {
      epochs: 2,
      optimizer: "adamw",
      lr: 1e-3,
      batchSize: 2,
      warmup: { steps: 3 },
      ema: 0.9,
      ...changes,
    },
    seed: 3,
  });
}

function newDetector(config: RunConfig): DetectorNetwork {
  manualSeed(11);
  return buildDetector(config.model, dataset.categories.length);
}

async function train(name: string, config: RunConfig, more: Partial<FitOptions> = {}): Promise<FitResult> {
  const loader = new DataLoader(dataset, {
    batchSize: config.schedule.batchSize,
    shuffle: true,
    seed: config.seed,
    transforms: trainTransforms(config),
  });
  return fit({
    detector: newDetector(config),
    config,
    classes: dataset.categories.map(({ name: own }) => own),
    loader,
    folder: join(folder, name),
    ...more,
  });
}

const bytesOf = (name: string): Map<string, string> =>
  new Map(
    [...io.readSafetensors(join(folder, name, "last.safetensors")).tensors].map(([key, tensor]) => [
      key,
      Buffer.from(tensor.contiguous().shareBytes()).toString("base64"),
    ]),
  );

const logOf = (name: string): { step: number; total: number }[] =>
  readFileSync(join(folder, name, "log.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { step: number; total: number });
const stepsOf = (name: string): number[] => logOf(name).map(({ step }) => step);

describe("fit", () => {
  test("lowers the loss, logs every step, keeps a checkpoint", async () => {
    const result = await train("falls", configOf({ epochs: 12 }));
    expect(result).toMatchObject({ finished: true, skipped: 0, progress: { epoch: 12, step: 48 } });
    const totals = logOf("falls").map(({ total }) => total);
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value) / values.length;
    expect(totals).toHaveLength(48);
    expect(mean(totals.slice(-8))).toBeLessThan(0.8 * mean(totals.slice(0, 8)));
    expect(JSON.parse(readFileSync(join(folder, "falls", "config.json"), "utf8"))).toMatchObject({ seed: 3 });
  }, 300_000);

  test("stopped in the middle of an epoch and resumed, ends with the same bits", async () => {
    const config = configOf();
    await train("whole", config);
    const stop = new AbortController();
    const first = await train("parts", config, {
      signal: stop.signal,
      onStep: ({ step }) => step === 5 && stop.abort(),
    });
    expect(first).toMatchObject({ finished: false, progress: { epoch: 1, stepInEpoch: 1, step: 5 } });
    const resume = loadCheckpoint(join(folder, "parts", "last.safetensors"));
    const second = await train("parts", config, { resume });
    expect(second).toMatchObject({ finished: true, progress: { step: 8 } });
    expect(bytesOf("parts")).toEqual(bytesOf("whole"));
  }, 300_000);

  test("a folder that holds a run is refused until it may be overwritten, and then starts anew", async () => {
    const config = configOf({ epochs: 1 });
    await train("taken", config, { evaluate: async () => ({ ap: 0.5, metrics: { AP: 0.5 } }) });
    const before = bytesOf("taken");
    await expect(train("taken", config)).rejects.toThrow(/taken.best\.safetensors: there is a run already/);
    expect(bytesOf("taken")).toEqual(before);
    await train("taken", configOf({ epochs: 1, lr: 1e-4 }), { overwrite: true });
    expect(bytesOf("taken")).not.toEqual(before);
    expect(stepsOf("taken")).toEqual([1, 2, 3, 4]);
    const names = readdirSync(join(folder, "taken"));
    expect(names).not.toContain("best.safetensors");
    expect(names.filter((name) => name.startsWith("events."))).toHaveLength(1);
  }, 300_000);

  test("resumed from a step before the log's last, logs each step once", async () => {
    const config = configOf();
    const stop = new AbortController();
    await train("killed", config, { signal: stop.signal, onStep: ({ step }) => step === 5 && stop.abort() });
    const resume = loadCheckpoint(join(folder, "killed", "last.safetensors"));
    const beyond = [6, 7].map((step) => `{"kind":"train","step":${step}}\n`).join("");
    appendFileSync(join(folder, "killed", "log.jsonl"), `${beyond}{"kind":"train","to`);
    await train("killed", config, { resume });
    expect(stepsOf("killed")).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  }, 300_000);

  test("a loss that is no number ends the run, naming the pictures; the checkpoint before stays", async () => {
    const config = configOf({ lr: 1e12, clip: null, warmup: { steps: 0, from: 1, shape: "linear" } });
    const failed = train("nan", config);
    await expect(failed).rejects.toBeInstanceOf(TrainingDiverged);
    await expect(failed).rejects.toThrow(/not finite[\s\S]*000\d+\.png[\s\S]*schedule\.lr/);
  }, 300_000);

  test("steps in parts give the gradients of whole ones, but for the batch's statistics", async () => {
    const frozen = (accumulate: number): RunConfig => {
      const config = configOf({ accumulate, epochs: 1, ema: null });
      return parseRunConfig({
        ...config,
        model: {
          ...config.model,
          backbone: { depth: 18, width: 8, frozenStages: 0, normEval: true },
          tower: { kind: "plain", depth: 1 },
        },
      });
    };
    const losses: number[][] = [];
    for (const accumulate of [1, 2]) {
      const totals: number[] = [];
      await train(`accumulate${accumulate}`, frozen(accumulate), {
        onStep: ({ gradNorm }) => totals.push(gradNorm),
      });
      losses.push(totals);
    }
    // Losses divide by the positives of a part instead of the batch's: close, not equal.
    for (const [i, norm] of (losses[0] as number[]).entries()) {
      expect(losses[1]?.[i]).toBeGreaterThan(0.3 * norm);
      expect(losses[1]?.[i]).toBeLessThan(3 * norm);
    }
  }, 300_000);

  test("a validation that fails ends the run; the epoch before it is kept", async () => {
    const failed = train("unmeasured", configOf({ epochs: 3 }), {
      evaluate: () => Promise.reject(new Error("val/3.jpg is broken")),
    });
    await expect(failed).rejects.toThrow("val/3.jpg is broken");
    const { progress } = loadCheckpoint(join(folder, "unmeasured", "last.safetensors"));
    expect(progress).toMatchObject({ epoch: 1, stepInEpoch: 0, step: 4 });
  }, 300_000);

  test("the best validation is kept", async () => {
    const aps = [0.2, 0.5, 0.3];
    let call = 0;
    const result = await train("best", configOf({ epochs: 3 }), {
      evaluate: async () => ({ ap: aps[call] as number, metrics: { AP: aps[call++] as number } }),
    });
    expect(result.progress.best).toEqual({ ap: 0.5, epoch: 1 });
    expect(loadCheckpoint(join(folder, "best", "best.safetensors")).progress.epoch).toBe(2);
  }, 300_000);
});

describe("checkpoints", () => {
  test("come back as they were saved, and other safetensors are refused by name", async () => {
    const config = configOf();
    const detector = newDetector(config);
    const path = join(folder, "one.safetensors");
    const progress = { epoch: 1, stepInEpoch: 2, step: 6, best: null };
    saveCheckpoint(path, {
      model: detector.stateDict(),
      ema: null,
      optimizer: null,
      progress,
      config,
      classes: ["a"],
    });
    const back = loadCheckpoint(path);
    expect(back).toMatchObject({ progress, classes: ["a"], ema: null, optimizer: null });
    expect([...back.model.keys()].sort()).toEqual([...detector.stateDict().keys()].sort());
    const other = join(folder, "other.safetensors");
    io.writeSafetensors(other, back.model);
    expect(() => loadCheckpoint(other)).toThrow(/other\.safetensors: expected a checkpoint/);
    expect(() => loadCheckpoint(join(folder, "none.safetensors"))).toThrow(/none\.safetensors/);
  });
});
