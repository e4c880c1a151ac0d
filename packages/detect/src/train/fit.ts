import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Device, io, manualSeed, optim } from "@sepc/engine";
import type { DataLoader } from "../data/loader.js";
import type { DetectorNetwork } from "../detectors/index.js";
import { type Checkpoint, type Progress, saveCheckpoint } from "./checkpoint.js";
import type { RunConfig } from "./config.js";
import { Ema } from "./ema.js";
import { RunLog } from "./log.js";
import { checkpoints, clearRun, refuseTaken } from "./runFolder.js";
import { buildOptimizer, buildSchedule } from "./schedule.js";
import { type StepResult, trainStep } from "./step.js";

/** What the loop tells after each step. */
export interface StepReport extends StepResult {
  readonly epoch: number;
  readonly step: number;
  readonly steps: number;
  readonly lr: number;
  /** Seconds that the step waited for its batch, and that it took in all. */
  readonly waited: number;
  readonly seconds: number;
  /** Pictures that could not be read, so far. */
  readonly skipped: number;
}

/** COCO metrics of the validation set. */
export interface Evaluation {
  readonly ap: number;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface FitOptions {
  readonly detector: DetectorNetwork;
  readonly config: RunConfig;
  readonly classes: readonly string[];
  readonly loader: DataLoader;
  /** Where log, checkpoints and configuration go; made when missing. */
  readonly folder: string;
  readonly device?: Device | undefined;
  /** From here, to the same bits as an uninterrupted run. */
  readonly resume?: Checkpoint | undefined;
  /** Takes the place of a run that the folder holds. */
  readonly overwrite?: boolean | undefined;
  /** Called with the network in evaluation mode (and its running means in place, where kept). */
  readonly evaluate?: (() => Promise<Evaluation>) | undefined;
  readonly onStep?: ((report: StepReport) => void) | undefined;
  readonly onEvaluation?: ((evaluation: Evaluation, epoch: number, isBest: boolean) => void) | undefined;
  /** Ends the run after the step that is running, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
}

export interface FitResult {
  readonly finished: boolean;
  readonly progress: Progress;
  readonly skipped: number;
  /** Seconds of this call's steps, and how many of them went by in waiting for batches. */
  readonly seconds: number;
  readonly waited: number;
}

/** One run of training: its state, and the moves between its states. */
class Run {
  readonly optimizer: optim.SGD | optim.AdamW;
  readonly scheduler: optim.Scheduler;
  readonly ema: Ema | null;
  readonly log: RunLog;
  progress: Progress = { epoch: 0, stepInEpoch: 0, step: 0, best: null };
  skipped = 0;
  seconds = 0;
  waited = 0;

  constructor(readonly options: FitOptions) {
    const { detector, config, loader, folder, resume, overwrite = false } = options;
    mkdirSync(folder, { recursive: true });
    if (resume === undefined) {
      if (!overwrite) refuseTaken(folder, "resume it, overwrite it, or name another folder");
      clearRun(folder);
    }
    this.optimizer = buildOptimizer(config.schedule, detector);
    this.scheduler = new optim.Scheduler(this.optimizer, buildSchedule(config.schedule, loader.length));
    this.ema = config.schedule.ema === null ? null : new Ema(detector, config.schedule.ema);
    if (resume !== undefined) this.#restore(resume);
    for (const name of checkpoints) io.removeLeftovers(join(folder, name));
    this.log = new RunLog(folder, this.progress.step);
    const resolved = JSON.stringify({ ...config, classes: options.classes }, null, 2);
    io.writeAtomically(join(folder, "config.json"), (write) => write(Buffer.from(`${resolved}\n`)));
  }

  #restore(from: Checkpoint): void {
    this.options.detector.loadStateDict(from.model);
    if (from.optimizer !== null) this.optimizer.loadStateDict(from.optimizer as never);
    this.progress = from.progress;
    this.scheduler.goTo(from.progress.step);
    if (from.ema !== null) this.ema?.load(from.ema, from.progress.step);
  }

  save(name: string): void {
    const { detector, config, classes, folder } = this.options;
    saveCheckpoint(join(folder, name), {
      model: detector.stateDict(),
      ema: this.ema?.state ?? null,
      optimizer: this.optimizer.stateDict(),
      progress: this.progress,
      config,
      classes,
    });
  }

  step(batch: Parameters<typeof trainStep>[2], waited: number, start: number): void {
    const { detector, config, device = "cpu", loader, onStep } = this.options;
    const lr = this.scheduler.rates[0] as number;
    const result = trainStep(detector, this.optimizer, batch, config, device, this.progress.step);
    this.scheduler.step();
    this.ema?.update();
    this.skipped += batch.skipped.length;
    const { epoch, stepInEpoch, step, best } = this.progress;
    this.progress = { epoch, stepInEpoch: stepInEpoch + 1, step: step + 1, best };
    const seconds = (performance.now() - start) / 1000;
    this.seconds += seconds;
    this.waited += waited;
    const images = batch.samples.length;
    this.log.write(step + 1, {
      kind: "train",
      epoch,
      lr,
      total: result.total,
      ...Object.fromEntries(result.losses),
      grad_norm: result.gradNorm,
      images_per_second: images / seconds,
      waited,
      rss: process.memoryUsage.rss(),
    });
    const steps = loader.length * config.schedule.epochs;
    onStep?.({ ...result, epoch, step: step + 1, steps, lr, waited, seconds, skipped: this.skipped });
  }

  get result(): FitResult {
    const { progress, skipped, seconds, waited } = this;
    return {
      finished: progress.epoch === this.options.config.schedule.epochs,
      progress,
      skipped,
      seconds,
      waited,
    };
  }

  /** A batch of which no picture could be read. */
  pass(skipped: number): void {
    this.skipped += skipped;
    this.progress = { ...this.progress, stepInEpoch: this.progress.stepInEpoch + 1 };
  }

  async evaluate(): Promise<void> {
    const { detector, evaluate, onEvaluation } = this.options;
    if (evaluate === undefined) return;
    detector.eval();
    const evaluation = this.ema === null ? await evaluate() : await this.ema.during(evaluate);
    detector.train();
    const { epoch, step, best } = this.progress;
    const isBest = best === null || evaluation.ap > best.ap;
    if (isBest) this.progress = { ...this.progress, best: { ap: evaluation.ap, epoch: epoch - 1 } };
    this.log.write(step, { kind: "eval", epoch: epoch - 1, ...evaluation.metrics });
    if (isBest) this.save("best.safetensors");
    onEvaluation?.(evaluation, epoch - 1, isBest);
  }

  /** False when the signal ended it. */
  async epoch(): Promise<boolean> {
    const { loader, signal } = this.options;
    let start = performance.now();
    for await (const batch of loader.epoch(this.progress.epoch, this.progress.stepInEpoch)) {
      const waited = (performance.now() - start) / 1000;
      if (batch.samples.length > 0) this.step(batch, waited, start);
      else this.pass(batch.skipped.length);
      // A turn of the event loop: signals and the loader's workers are heard.
      await new Promise((resolve) => setImmediate(resolve));
      if (signal?.aborted) return false;
      start = performance.now();
    }
    this.progress = { ...this.progress, epoch: this.progress.epoch + 1, stepInEpoch: 0 };
    return true;
  }
}

/**
 * Trains a detector. `last.safetensors` is written after each epoch and at the end, `best.safetensors` at each best
 * validation; both appear whole or not at all.
 * @throws TrainingDiverged when the loss is not finite; the last checkpoint stays. EngineError FILE when the folder
 *   holds another run, and neither `resume` nor `overwrite` says what is to become of it.
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  const { config, detector, signal } = options;
  manualSeed(config.seed);
  const run = new Run(options);
  const { epochs } = config.schedule;
  try {
    detector.train();
    while (run.progress.epoch < epochs) {
      const whole = await run.epoch();
      if (!whole) {
        run.save("last.safetensors");
        return run.result;
      }
      const isLast = run.progress.epoch === epochs;
      try {
        if (isLast || run.progress.epoch % config.evaluateEvery === 0) await run.evaluate();
      } finally {
        // Also when the evaluation fails: the epoch is not lost.
        run.save("last.safetensors");
      }
      if (signal?.aborted) break;
    }
    return run.result;
  } finally {
    run.log.close();
    run.optimizer.free();
  }
}
