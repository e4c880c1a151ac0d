import type { AnchorPriors, DeltaCoder, LevelSize } from "@sepc/core";
import { ops, scope, type Tensor } from "@sepc/engine";
import type { CenternessOutput } from "../../models/heads/centerness.js";
import { byPrior } from "../../models/heads/select.js";
import { anchorTensor, paddingPriors } from "../../ops/priors.js";
import { type AtssConfig, assignByAtss } from "../../training/assigners/atss.js";
import { centernessOf } from "../../training/coders/centerness.js";
import { decodeDeltas } from "../../training/coders/delta.js";
import { levelOfPriors, namedByLevel, sumByLevel } from "../../training/levels.js";
import type { FocalConfig } from "../../training/losses/focal.js";
import { focalOfMap } from "../../training/losses/focalMap.js";
import { giouLoss } from "../../training/losses/iou.js";
import type { Losses, Truth } from "../detector.js";

export interface AtssTraining {
  readonly anchors: AnchorPriors;
  readonly coder: DeltaCoder;
  readonly assigner: AtssConfig;
  readonly focal: FocalConfig;
  /** Weight of the overlap loss. */
  readonly boxWeight: number;
}

/** Targets of a batch: N pictures, P anchors each, M positives in all. */
export interface AtssTargets {
  readonly sizes: readonly LevelSize[];
  /** int64 [N, P]: class, -1 background, -2 counts neither way */
  readonly labels: Tensor;
  /** int64 [M]: places of the positives among all N·P rows, and their levels */
  readonly rows: Tensor;
  readonly levels: Tensor;
  /** [M, 4] in pixels: the positive anchors and their objects' boxes */
  readonly anchors: Tensor;
  readonly boxes: Tensor;
  /** Positives, at least 1 of each picture. */
  readonly positives: number;
}

function targetsOfPicture(anchors: Tensor, assigned: Tensor, { boxes, labels }: Truth) {
  const places = assigned.gt(0).nonzero().squeeze(1);
  const objects = assigned.indexSelect(0, places).sub(1);
  const unassigned = assigned.sub(1);
  return {
    places,
    labels:
      places.numel === 0 ? unassigned : ops.indexPut(unassigned, [places], labels.indexSelect(0, objects)),
    anchors: anchors.indexSelect(0, places),
    boxes: boxes.indexSelect(0, objects),
  };
}

export function atssTargets(
  config: AtssTraining,
  sizes: readonly LevelSize[],
  truths: readonly Truth[],
): AtssTargets {
  return scope(() => {
    const { device } = (truths[0] as Truth).boxes;
    const anchors = anchorTensor(config.anchors, sizes, device);
    const counts = sizes.map(([height, width]) => height * width);
    const { legacyBoxes } = config.anchors;
    const each = truths.map((truth) => {
      const excluded = paddingPriors(config.anchors, sizes, truth.padded, device);
      const assigned = assignByAtss(anchors, counts, truth.boxes, config.assigner, { excluded, legacyBoxes });
      return targetsOfPicture(anchors, assigned, truth);
    });
    const count = anchors.shape[0] as number;
    return {
      sizes,
      labels: ops.stack(each.map(({ labels }) => labels)),
      rows: ops.cat(each.map(({ places }, n) => places.add(n * count))),
      levels: levelOfPriors(sizes, device).indexSelect(0, ops.cat(each.map(({ places }) => places))),
      anchors: ops.cat(each.map((own) => own.anchors)),
      boxes: ops.cat(each.map(({ boxes }) => boxes)),
      positives: each.reduce((sum, { places }) => sum + Math.max(places.numel, 1), 0),
    };
  });
}

/** How central the positive anchors lie in their objects' boxes, `[M]`, 0-1. */
export function centernessTargets({ anchors, boxes }: Pick<AtssTargets, "anchors" | "boxes">): Tensor {
  return scope(() => {
    const [ax1, ay1, ax2, ay2] = anchors.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const [x1, y1, x2, y2] = boxes.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const [x, y] = [ax1.add(ax2).div(2), ay1.add(ay2).div(2)];
    return centernessOf(ops.stack([x.sub(x1), y.sub(y1), x2.sub(x), y2.sub(y)], 1));
  });
}

/** Focal loss of each level's classes `[L]`, summed. */
function classLosses(config: AtssTraining, maps: readonly CenternessOutput[], targets: AtssTargets): Tensor {
  const counts = targets.sizes.map(([height, width]) => height * width);
  const labels = targets.labels.split(counts, 1);
  return ops.stack(maps.map(({ cls }, level) => focalOfMap(cls, labels[level] as Tensor, config.focal)));
}

/**
 * Per level focal loss of classes, overlap loss of boxes weighted by centre-ness, cross entropy of centre-ness
 * (section 3.3 of Tian et al. 2019, with anchors).
 */
export function atssLosses(
  config: AtssTraining,
  maps: readonly CenternessOutput[],
  targets: AtssTargets,
): Losses {
  return scope(() => {
    const { rows, levels, anchors, positives } = targets;
    const rowsOf = (map: "box" | "centerness", width: number): Tensor => {
      const all = ops.cat(
        maps.map((level) => byPrior(level[map], 1)),
        1,
      );
      return all.reshape([-1, width]).indexSelect(0, rows);
    };
    const byLevel = (values: Tensor): Tensor => sumByLevel(values, levels, maps.length);
    const wanted = centernessTargets(targets);
    const predicted = decodeDeltas(config.coder, anchors, rowsOf("box", 4));
    const { legacyBoxes } = config.anchors;
    const boxes = giouLoss(predicted, targets.boxes, { legacyBoxes }).mul(wanted).mul(config.boxWeight);
    const central = ops.binaryCrossEntropyWithLogits(rowsOf("centerness", 1).squeeze(1), wanted, {
      reduction: "none",
    });
    return {
      ...namedByLevel("loss_cls", classLosses(config, maps, targets).div(positives)),
      // Without positives there is nothing to weigh.
      ...namedByLevel("loss_box", byLevel(boxes).div(wanted.sum().clamp({ min: 1e-6 }))),
      ...namedByLevel("loss_centerness", byLevel(central).div(positives)),
    };
  });
}
