import { EngineError } from "@sepc/engine";
import { z } from "zod";
import { detectorSchema, faultsOf } from "../detectors/index.js";

const positive = z.int().positive();
const share = z.number().min(0).max(1);
/** Long and short side in pixels: a picture is made as large as both allow. */
const sides = z.tuple([positive, positive]);
const three = z.tuple([z.number(), z.number(), z.number()]);

const inputSchema = z.strictObject({
  /** One pair, or several to draw from in training; [1333, 800] in the paper. */
  scales: z.array(sides).min(1),
  /** Of several pairs: one of them, or anything between the first two. */
  draw: z.enum(["value", "range"]).default("value"),
  /** Pair for evaluation and use; the first unless told. */
  testScale: sides.optional(),
  flip: share.default(0.5),
  /** Probability of cutting a random part out. */
  crop: share.default(0),
  /** Probability of changing brightness, contrast, saturation and hue. */
  photometric: share.default(0),
  sizeDivisor: positive.default(32),
  mean: three.default([123.675, 116.28, 103.53]),
  std: three.default([58.395, 57.12, 57.375]),
  /** Order of the channels that the weights were trained with. */
  channels: z.enum(["rgb", "bgr"]).default("rgb"),
});

const scheduleSchema = z.strictObject({
  epochs: positive,
  /** Epochs after which the rate falls tenfold; for the cosine, none. */
  milestones: z.array(positive).default([]),
  shape: z.enum(["step", "cosine"]).default("step"),
  gamma: share.default(0.1),
  optimizer: z.enum(["sgd", "adamw"]).default("sgd"),
  lr: z.number().positive(),
  momentum: share.default(0.9),
  weightDecay: z.number().min(0).default(1e-4),
  /** Factors for the biases of convolutions: on the rate, and on the weight decay. FCOS has 2 and 0. */
  biasFactors: z
    .strictObject({ lr: z.number().min(0).default(1), weightDecay: z.number().min(0).default(1) })
    .prefault({}),
  /** Pictures in a step. */
  batchSize: positive,
  /** Parts that a step is computed in, to save memory. */
  accumulate: positive.default(1),
  warmup: z
    .strictObject({
      steps: z.int().min(0).default(500),
      from: share.default(1 / 3),
      shape: z.enum(["linear", "constant"]).default("linear"),
    })
    .prefault({}),
  /** Largest norm of the gradients; null, any. */
  clip: z.number().positive().nullable().default(35),
  /** Decay of the running mean of the weights; null, none is kept. */
  ema: share.nullable().default(null),
  precision: z.enum(["float32", "bfloat16"]).default("float32"),
});

const runSchema = z.strictObject({
  model: detectorSchema,
  input: inputSchema,
  schedule: scheduleSchema,
  /** Names of the classes; those of the data unless told. */
  classes: z.array(z.string().min(1)).optional(),
  /** Where the weights start: "scratch", a name of torchvision's ("resnet50"), or a file (.safetensors, .pth). */
  weights: z.string().default("scratch"),
  evaluateEvery: positive.default(1),
  seed: z.int().min(0).default(0),
  workers: z.int().min(0).default(1),
  /** Whether a picture that cannot be read is skipped (and counted) or ends the run. */
  onBroken: z.enum(["skip", "fail"]).default("skip"),
});

/** All that decides a training run, but the data. Plain data: saved with every run as config.json. */
export type RunConfig = z.infer<typeof runSchema>;
export type RunConfigInput = z.input<typeof runSchema>;

/**
 * Checks a configuration and fills in defaults.
 * @throws EngineError BAD_ARGUMENT with the path to each value that is unknown or impossible.
 */
export function parseRunConfig(raw: unknown, from = "configuration"): RunConfig {
  const parsed = runSchema.safeParse(raw, { reportInput: true });
  if (parsed.success) return parsed.data;
  const faults = faultsOf(parsed.error);
  throw new EngineError("BAD_ARGUMENT", faults.map((fault) => `${from}: ${fault}`).join("\n"));
}

/** A copy with what stands at a path ("schedule.epochs") set; numbers, true, lists and so on are read as JSON. */
export function withSetting(config: unknown, assignment: string): unknown {
  const found = /^([\w.-]+)=(.*)$/s.exec(assignment);
  if (found === null)
    throw new EngineError(
      "BAD_ARGUMENT",
      `--set: expected path=value, as schedule.epochs=24, got "${assignment}"`,
    );
  const [, path, text] = found as unknown as [string, string, string];
  const copy = structuredClone(config) as Record<string, unknown>;
  const keys = path.split(".");
  let at = copy;
  for (const [i, key] of keys.slice(0, -1).entries()) {
    const next = Object.hasOwn(at, key) ? at[key] : undefined;
    if (typeof next !== "object" || next === null)
      throw new EngineError(
        "BAD_ARGUMENT",
        `--set ${assignment}: there is no "${keys.slice(0, i + 1).join(".")}"`,
      );
    at = next as Record<string, unknown>;
  }
  at[keys.at(-1) as string] = settingOf(text);
  return copy;
}

function settingOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
