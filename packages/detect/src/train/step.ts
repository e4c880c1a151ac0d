import { backward, type Device, EngineError, fromTypedArray, optim, scope } from "@sepc/engine";
import type { Batch, Sample } from "../data/types.js";
import type { DetectorNetwork, Truth } from "../detectors/index.js";
import type { RunConfig } from "./config.js";
import { forwardIn } from "./forward.js";

/** Losses of one step by name, summed over levels, and the gradients' norm before clipping. */
export interface StepResult {
  readonly losses: ReadonlyMap<string, number>;
  readonly total: number;
  readonly gradNorm: number;
}

/** The loss is not a number any more: the pictures of that step, and what to try. */
export class TrainingDiverged extends EngineError {
  constructor(step: number, names: readonly string[], files: readonly string[]) {
    super(
      "OP_FAILED",
      `step ${step}: the loss is not finite (${names.join(", ")}). Pictures of the step:\n  ${files.join("\n  ")}\n` +
        "The last checkpoint is kept. Try a lower schedule.lr, a lower schedule.clip or a longer schedule.warmup.",
    );
  }
}

function truthOf(sample: Sample, sizeDivisor: number, device: Device): Truth {
  const { boxes, labels, crowdBoxes, width, height } = sample;
  const padded = (side: number): number => Math.ceil(side / sizeDivisor) * sizeDivisor;
  return {
    boxes: fromTypedArray(boxes, [boxes.length / 4, 4]).to({ device }),
    labels: fromTypedArray(labels, [labels.length]).to({ device, dtype: "int64" }),
    ignored:
      crowdBoxes.length > 0 ? fromTypedArray(crowdBoxes, [crowdBoxes.length / 4, 4]).to({ device }) : null,
    size: [height, width],
    padded: [padded(height), padded(width)],
  };
}

/** "loss_cls.3" counts to "loss_cls". */
const groupOf = (name: string): string => name.replace(/\.\d+$/, "");

/** Part `i` of `parts` of a batch's pictures. */
function partOf(batch: Batch, i: number, parts: number): { first: number; count: number } {
  const size = Math.ceil(batch.samples.length / parts);
  const first = Math.min(i * size, batch.samples.length);
  return { first, count: Math.min(size, batch.samples.length - first) };
}

/** One step of training on a batch: forward, backward, clipping, the optimiser's update. */
export function trainStep(
  detector: DetectorNetwork,
  optimizer: optim.SGD | optim.AdamW,
  batch: Batch,
  config: RunConfig,
  device: Device,
  step: number,
): StepResult {
  const { accumulate, clip, precision } = config.schedule;
  const [, channels, height, width] = batch.shape;
  const losses = new Map<string, number>();
  optimizer.zeroGrad();
  for (let i = 0; i < accumulate; i++) {
    const { first, count } = partOf(batch, i, accumulate);
    if (count === 0) continue;
    const share = count / batch.samples.length;
    scope(() => {
      const plane = channels * height * width;
      const pixels = batch.pixels.subarray(first * plane, (first + count) * plane);
      const images = fromTypedArray(pixels, [count, channels, height, width]).to({ device });
      const raw = forwardIn(detector, images, device, precision);
      const truths = batch.samples
        .slice(first, first + count)
        .map((sample) => truthOf(sample, config.input.sizeDivisor, device));
      const parts = Object.entries(detector.losses(raw, truths));
      for (const [name, loss] of parts)
        losses.set(groupOf(name), (losses.get(groupOf(name)) ?? 0) + share * Number(loss.item()));
      const trained = parts.filter(([name]) => name.startsWith("loss")).map(([, loss]) => loss);
      const total = trained.reduce((sum, loss) => sum.add(loss));
      refuseNonFinite(losses, step, batch);
      backward(share === 1 ? total : total.mul(share));
    });
  }
  const params = optimizer.groups.flatMap((group) => group.params);
  const gradNorm = optim.clipGradNorm_(params, clip ?? Number.POSITIVE_INFINITY);
  if (!Number.isFinite(gradNorm)) refuse(step, ["gradients"], batch);
  optimizer.step();
  const total = [...losses].reduce((sum, [name, loss]) => (name.startsWith("loss") ? sum + loss : sum), 0);
  return { losses, total, gradNorm };
}

function refuse(step: number, names: readonly string[], batch: Batch): never {
  throw new TrainingDiverged(
    step,
    names,
    batch.samples.map(({ image }) => image.file),
  );
}

function refuseNonFinite(losses: ReadonlyMap<string, number>, step: number, batch: Batch): void {
  const bad = [...losses].filter(([, loss]) => !Number.isFinite(loss)).map(([name]) => name);
  if (bad.length > 0) refuse(step, bad, batch);
}
