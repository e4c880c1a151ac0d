import type { LevelSize } from "@sepc/core";
import { ops, scope, type Tensor } from "@sepc/engine";
import type { LevelOutput } from "../../models/heads/dense.js";
import { anchorTensor } from "../../ops/priors.js";
import type { FocalConfig } from "../../training/losses/focal.js";
import { focalOfMap } from "../../training/losses/focalMap.js";
import { smoothL1 } from "../../training/losses/smoothL1.js";
import type { Losses, Truth } from "../detector.js";
import { retinaTargets, type TargetConfig, type Targets } from "./targets.js";

export interface RetinaTrainingConfig extends TargetConfig {
  readonly focal: FocalConfig;
  /** Where smooth L1 becomes straight, in the coder's units. */
  readonly beta: number;
  /** Weight of positives in the class loss; 1 unless told. */
  readonly positiveWeight?: number | undefined;
}

/** Targets of all pictures, the labels level by level. */
export interface BatchTargets {
  readonly images: readonly Targets[];
  /** Positive anchors of the batch, at least 1 of each picture. */
  readonly positives: number;
  readonly sizes: readonly LevelSize[];
}

export function batchTargets(
  config: RetinaTrainingConfig,
  sizes: readonly LevelSize[],
  truths: readonly Truth[],
): BatchTargets {
  return scope(() => {
    const device = truths[0]?.boxes.device ?? "cpu";
    const anchors = anchorTensor(config.anchors, sizes, device);
    const images = truths.map((truth) => retinaTargets(config, anchors, sizes, truth));
    const positives = images.reduce((sum, { positives: own }) => sum + Math.max(own.numel, 1), 0);
    return { images, positives, sizes };
  });
}

/** int64 [N, P_l]: the labels of one level. */
export function labelsOfLevel(targets: BatchTargets, perCell: number, level: number): Tensor {
  const counts = targets.sizes.map(([height, width]) => height * width * perCell);
  const first = counts.slice(0, level).reduce((sum, count) => sum + count, 0);
  return ops.stack(targets.images.map(({ labels }) => labels.narrow(0, first, counts[level] as number)));
}

/** Smooth L1 of one level's positive anchors, summed. */
function boxLoss(
  box: Tensor,
  level: { first: number; anchors: number },
  targets: readonly Targets[],
  beta: number,
): Tensor {
  const [batch, , height, width] = box.shape as [number, number, number, number];
  const { first, anchors } = level;
  const count = height * width * anchors;
  const rows = box.reshape([batch, anchors, 4, height, width]).permute([0, 3, 4, 1, 2]); // [N, H, W, A, 4]
  const losses = targets.map(({ positives, deltas }, n) => {
    const mine = positives.ge(first).logicalAnd(positives.lt(first + count));
    const places = positives.maskedSelect(mine).sub(first);
    const cell = ops.div(places, anchors, { roundingMode: "floor" });
    const [y, x] = [ops.div(cell, width, { roundingMode: "floor" }), cell.remainder(width)];
    const predicted = rows.select(0, n).index([y, x, places.remainder(anchors)]);
    return smoothL1(predicted, deltas.indexSelect(0, mine.nonzero().squeeze(1)), beta).sum();
  });
  return losses.reduce((sum, loss) => sum.add(loss));
}

/** Per level the focal loss of classes and the smooth L1 loss of boxes, over the number of positives. */
export function retinaLosses(
  config: RetinaTrainingConfig,
  levels: readonly LevelOutput[],
  targets: BatchTargets,
): Losses {
  const anchors = config.anchors.ratios.length * config.anchors.scales.length;
  const losses: Record<string, Tensor> = {};
  let first = 0;
  for (const [level, { cls, box }] of levels.entries()) {
    const [cls_, box_] = scope(() => {
      const labels = labelsOfLevel(targets, anchors, level);
      return [
        focalOfMap(cls, labels, config.focal, { anchors, positiveWeight: config.positiveWeight }).div(
          targets.positives,
        ),
        boxLoss(box, { first, anchors }, targets.images, config.beta).div(targets.positives),
      ];
    }) as [Tensor, Tensor];
    losses[`loss_cls.${level}`] = cls_;
    losses[`loss_box.${level}`] = box_;
    const [height, width] = box.shape.slice(2) as [number, number];
    first += height * width * anchors;
  }
  return losses;
}
