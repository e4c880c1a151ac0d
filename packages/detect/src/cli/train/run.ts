import { existsSync } from "node:fs";
import { join } from "node:path";
import { cudaDeviceCount, type Device, EngineError } from "@sepc/engine";
import { DataLoader } from "../../data/loader.js";
import { openDataset } from "../../data/open.js";
import type { DetectionDataset } from "../../data/types.js";
import { withClasses } from "../../data/withClasses.js";
import { buildDetector } from "../../detectors/index.js";
import { preset } from "../../presets/index.js";
import { type Checkpoint, loadCheckpoint } from "../../train/checkpoint.js";
import { parseRunConfig, type RunConfig, withSetting } from "../../train/config.js";
import { trainTransforms } from "../../train/data.js";
import { type FitResult, fit, type StepReport } from "../../train/fit.js";
import { loadInitialWeights, type WeightsReport } from "../../train/initialWeights.js";
import { weightsFile } from "../../train/pretrained.js";
import { formatDuration, Progress } from "../progress.js";
import { readConfigFile, type TrainArguments } from "../train.js";
import { makeEvaluation } from "./evaluate.js";

const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** The configuration that the arguments ask for, checked. */
async function configOf(options: TrainArguments, resume: Checkpoint | undefined): Promise<RunConfig> {
  const { config: file, preset: name = "retinanet_small_sepc-lite", set, weights } = options;
  let raw: unknown = resume?.config ?? (file === undefined ? preset(name) : await readConfigFile(file));
  for (const assignment of set) raw = withSetting(raw, assignment);
  const config = parseRunConfig(raw, file ?? `preset ${name}`);
  return weights === undefined ? config : { ...config, weights };
}

interface Data {
  readonly train: DetectionDataset;
  readonly val: DetectionDataset | null;
}

/** The first pictures that have objects, for both. */
function overfitting({ train }: Data, count: number): Data {
  const images = train.images.filter(({ objects }) => objects.some(({ crowd }) => !crowd)).slice(0, count);
  if (images.length < count)
    throw new EngineError(
      "BAD_ARGUMENT",
      `--overfit: expected up to ${images.length}, the pictures with objects in ${train.name}, got ${count}`,
    );
  const few = { ...train, images };
  return { train: few, val: few };
}

async function openData(options: TrainArguments): Promise<Data> {
  const data = await openSplits(options);
  return options.overfit === undefined ? data : overfitting(data, options.overfit);
}

async function openSplits({ data, train, val }: TrainArguments): Promise<Data> {
  if (train === undefined && data === undefined) {
    throw new EngineError("BAD_ARGUMENT", "sepc train: expected --data PATH (or --train PATH), got neither");
  }
  const trained = await openDataset((train ?? data) as string, train === undefined ? { split: "train" } : {});
  if (val !== undefined) return { train: trained, val: await openDataset(val) };
  if (data === undefined) return { train: trained, val: null };
  const other = await openDataset(data, { split: "val" }).catch(() => null);
  return { train: trained, val: other };
}

function deviceOf(wanted: string | undefined): Device {
  if (wanted !== undefined) return wanted as Device;
  return cudaDeviceCount() > 0 ? "cuda" : "cpu";
}

function tellWeights({ from, loaded, missing, unused, misshaped }: WeightsReport): void {
  say(`weights from ${from}: ${loaded} tensors match`);
  const list = (names: readonly string[]): string =>
    `${names.slice(0, 4).join(", ")}${names.length > 4 ? ` and ${names.length - 4} more` : ""}`;
  if (missing.length > 0) say(`  missing there, fresh here: ${list(missing)}`);
  if (unused.length > 0) say(`  of no use here: ${list(unused)}`);
  if (misshaped.length > 0) say(`  of another shape: ${list(misshaped)}`);
}

/** Progress of a run: a bar for each epoch. */
class TrainingProgress {
  #bar: Progress | null = null;
  #epoch = -1;
  /** Running mean of a step's seconds. */
  #pace = 0;

  constructor(
    readonly epochs: number,
    readonly stepsPerEpoch: number,
  ) {}

  step(report: StepReport): void {
    const { epoch, losses, total, lr, step, steps, seconds } = report;
    if (epoch !== this.#epoch) {
      this.#bar?.finish();
      this.#epoch = epoch;
      this.#bar = new Progress({
        total: this.stepsPerEpoch,
        unit: "steps",
        label: `epoch ${epoch + 1}/${this.epochs}`,
      });
    }
    this.#pace = this.#pace === 0 ? seconds : 0.9 * this.#pace + 0.1 * seconds;
    const parts = [...losses]
      .map(([name, loss]) => `${name.replace("loss_", "")} ${loss.toFixed(3)}`)
      .join(" ");
    const left = formatDuration((steps - step) * this.#pace);
    this.#bar?.advance(1, `loss ${total.toFixed(3)} (${parts}) lr ${lr.toPrecision(2)}, run ends in ${left}`);
  }

  finish(): void {
    this.#bar?.finish();
    this.#bar = null;
    this.#epoch = -1;
  }
}

/** Ctrl-C ends after the step, with a checkpoint; pressed again, at once. */
function onInterrupt(): { signal: AbortSignal; off: () => void } {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(130);
    say("\nending after this step; press Ctrl-C again to end at once, without a checkpoint");
    controller.abort();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return {
    signal: controller.signal,
    off: () => {
      process.off("SIGINT", stop);
      process.off("SIGTERM", stop);
    },
  };
}

function resumeFrom(options: TrainArguments): Checkpoint | undefined {
  if (!options.resume) return undefined;
  const last = join(options.out, "last.safetensors");
  if (!existsSync(last))
    throw new EngineError("FILE", `--resume: ${options.out} has no last.safetensors to go on from`);
  return loadCheckpoint(last);
}

/** `sepc train`; returns the exit code. */
export async function runTraining(options: TrainArguments): Promise<number> {
  const resume = resumeFrom(options);
  const config = await configOf(options, resume);
  const data = await openData(options);
  const classes = resume?.classes ?? config.classes ?? data.train.categories.map(({ name }) => name);
  const device = deviceOf(options.device);
  const weights = resume === undefined ? await weightsFile(config.weights) : null;
  const detector = buildDetector(config.model, classes.length).to({ device });
  if (weights !== null) tellWeights(loadInitialWeights(detector, weights));
  const loader = new DataLoader(withClasses(data.train, classes), {
    batchSize: config.schedule.batchSize,
    transforms: trainTransforms(config),
    shuffle: true,
    seed: config.seed,
    workers: config.workers,
    groupByAspect: true,
    filterEmpty: true,
    onBroken: config.onBroken,
  });
  const progress = new TrainingProgress(config.schedule.epochs, loader.length);
  const { signal, off } = onInterrupt();
  let result: FitResult;
  try {
    const evaluate =
      data.val === null
        ? undefined
        : makeEvaluation(detector, withClasses(data.val, classes), config, device);
    result = await fit({
      detector,
      config,
      classes,
      loader,
      folder: options.out,
      device,
      resume,
      evaluate,
      onStep: (report) => progress.step(report),
      onEvaluation: ({ metrics }, epoch, isBest) => {
        progress.finish();
        const figures = Object.entries(metrics).map(([name, value]) => `${name} ${value.toFixed(3)}`);
        say(`epoch ${epoch + 1}: ${figures.slice(0, 6).join(", ")}${isBest ? "  (best so far)" : ""}`);
      },
      signal,
    });
  } finally {
    progress.finish();
    off();
    await loader.close();
  }
  if (!result.finished) say(`stopped; go on with: npx sepc train --resume --out ${options.out} --data ...`);
  const { best, step } = result.progress;
  if (options.json) process.stdout.write(`${JSON.stringify({ ...result, out: options.out })}\n`);
  else say(`${step} steps; best AP ${best?.ap.toFixed(3) ?? "not measured"}; all in ${options.out}`);
  return result.finished ? 0 : 130;
}
