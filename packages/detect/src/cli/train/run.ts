import { existsSync } from "node:fs";
import { join } from "node:path";
import { EngineError, manualSeed } from "@sepc/engine";
import { DataLoader } from "../../data/loader.js";
import { openDataset, splitsOf } from "../../data/open.js";
import type { DetectionDataset } from "../../data/types.js";
import { withClasses } from "../../data/withClasses.js";
import { buildDetector } from "../../detectors/index.js";
import { preset } from "../../presets/index.js";
import { type Checkpoint, loadCheckpoint } from "../../train/checkpoint.js";
import { parseRunConfig, type RunConfig, withSetting } from "../../train/config.js";
import { trainTransforms } from "../../train/data.js";
import { deviceOf } from "../../train/device.js";
import { type FitResult, fit, type StepReport } from "../../train/fit.js";
import { loadInitialWeights, type WeightsReport } from "../../train/initialWeights.js";
import { weightsFile } from "../../train/pretrained.js";
import { refuseTaken } from "../../train/runFolder.js";
import { readConfigFile } from "../configFile.js";
import { formatDuration, Progress } from "../progress.js";
import type { TrainArguments } from "../train.js";
import { makeEvaluation } from "./evaluate.js";

const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** The configuration that the arguments ask for, checked. */
async function configOf(options: TrainArguments, resume: Checkpoint | undefined): Promise<RunConfig> {
  const { config: file, preset: named, set, weights } = options;
  if (file !== undefined && named !== undefined)
    throw new EngineError(
      "BAD_ARGUMENT",
      `--preset and --config: expected one of them; a configuration may start from a preset: { "preset": "${named}", ... }`,
    );
  const name = named ?? "retinanet_small_sepc-lite";
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
  if (options.overfit !== undefined) return overfitting(data, options.overfit);
  if (data.val === null) say("no validation data: only the last checkpoint is kept");
  return data;
}

async function openSplits({ data, train, val }: TrainArguments): Promise<Data> {
  if (train === undefined && data === undefined) {
    throw new EngineError("BAD_ARGUMENT", "sepc train: expected --data PATH (or --train PATH), got neither");
  }
  const trained =
    train === undefined
      ? await openDataset(data as string, { split: "train" })
      : await openPart(train, "train");
  if (val !== undefined) return { train: trained, val: await openPart(val, "val") };
  if (data !== undefined && splitsOf(data).includes("val"))
    return { train: trained, val: await openDataset(data, { split: "val" }) };
  return { train: trained, val: null };
}

/** A data set of its own, or its split of this name where it has such. */
const openPart = (path: string, split: string): Promise<DetectionDataset> =>
  openDataset(path, splitsOf(path).includes(split) ? { split } : {});

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
    const memory = `${(process.memoryUsage.rss() / 1e9).toFixed(1)} GB`;
    this.#bar?.advance(
      1,
      `loss ${total.toFixed(3)} (${parts}) lr ${lr.toPrecision(2)}, ${memory}, run ends in ${left}`,
    );
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
  if (options.overwrite)
    throw new EngineError("BAD_ARGUMENT", "--resume and --overwrite: expected one of them");
  const last = join(options.out, "last.safetensors");
  if (!existsSync(last))
    throw new EngineError("FILE", `--resume: ${options.out} has no last.safetensors to go on from`);
  return loadCheckpoint(last);
}

/** `sepc train`; returns the exit code. */
export async function runTraining(options: TrainArguments): Promise<number> {
  // First: without libtorch all that follows is in vain.
  const device = deviceOf(options.device);
  const resume = resumeFrom(options);
  const { overwrite, out } = options;
  if (resume === undefined && !overwrite)
    refuseTaken(out, "go on with it by --resume, start over by --overwrite, or name another folder by --out");
  const config = await configOf(options, resume);
  const data = await openData(options);
  const classes = resume?.classes ?? config.classes ?? data.train.categories.map(({ name }) => name);
  const weights = resume === undefined ? await weightsFile(config.weights) : null;
  manualSeed(config.seed);
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
      folder: out,
      device,
      resume,
      overwrite,
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
  const { seconds, waited, skipped } = result;
  if (options.json) process.stdout.write(`${JSON.stringify({ ...result, out: options.out })}\n`);
  else {
    const told = [`${step} steps; best AP ${best?.ap.toFixed(3) ?? "not measured"}`];
    if (seconds > 0) told.push(`${((100 * waited) / seconds).toFixed(1)} % of the time waiting for data`);
    if (skipped > 0) told.push(`${skipped} times a picture could not be read (sepc data check names them)`);
    say([...told, `all in ${options.out}`].join("; "));
  }
  return result.finished ? 0 : 130;
}
