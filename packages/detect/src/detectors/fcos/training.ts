import type { LevelSize, PointPriors } from "@sepc/core";
import { ops, scope, type Tensor } from "@sepc/engine";
import type { CenternessOutput } from "../../models/heads/centerness.js";
import { byPrior } from "../../models/heads/select.js";
import { pointTensor } from "../../ops/priors.js";
import { assignPoints, type PointRangeConfig } from "../../training/assigners/pointRange.js";
import { centernessOf } from "../../training/coders/centerness.js";
import { decodeDistances } from "../../training/coders/distance.js";
import { type FocalConfig, focalOfAbsent, focalOfPresent } from "../../training/losses/focal.js";
import { giouLoss, iouLoss } from "../../training/losses/iou.js";
import type { Losses, Truth } from "../detector.js";

export interface FcosTraining {
  readonly priors: PointPriors;
  readonly assigner: PointRangeConfig;
  readonly focal: FocalConfig;
  readonly boxLoss: "iou" | "giou";
  readonly legacyBoxes?: boolean | undefined;
}

/** Targets of a batch: N pictures, P points each, M positives. */
export interface FcosTargets {
  /** int64 [N, P]: class, -1 background */
  readonly labels: Tensor;
  /** [N, P, 4] */
  readonly distances: Tensor;
  /** [P, 2] */
  readonly points: Tensor;
}

export function fcosTargets(
  config: FcosTraining,
  sizes: readonly LevelSize[],
  truths: readonly Truth[],
): FcosTargets {
  return scope(() => {
    const points = pointTensor(config.priors, sizes, (truths[0] as Truth).boxes.device);
    const counts = sizes.map(([height, width]) => height * width);
    const each = truths.map(({ boxes, labels }) => {
      const { assigned, distances } = assignPoints(points, counts, boxes, config.assigner);
      if (labels.numel === 0) return { labels: assigned.sub(1), distances };
      const own = labels.indexSelect(0, assigned.sub(1).clamp({ min: 0 }));
      return { labels: ops.where(assigned.gt(0), own, -1), distances };
    });
    return {
      labels: ops.stack(each.map(({ labels }) => labels)),
      distances: ops.stack(each.map(({ distances }) => distances)),
      points,
    };
  });
}

/** Focal loss of classes, overlap loss of boxes weighted by centre-ness, cross entropy of centre-ness. */
export function fcosLosses(
  config: FcosTraining,
  maps: readonly CenternessOutput[],
  targets: FcosTargets,
): Losses {
  return scope(() => {
    const rows = (map: keyof CenternessOutput): Tensor => {
      const all = ops.cat(
        maps.map((level) => byPrior(level[map], 1)),
        1,
      );
      return all.reshape([-1, all.shape[2] as number]);
    };
    const [cls, box, centerness] = [rows("cls"), rows("box"), rows("centerness").squeeze(1)];
    const [batch, count] = targets.labels.shape as [number, number];
    const labels = targets.labels.reshape([-1]);
    const positives = labels.ge(0).nonzero().squeeze(1);
    let classes = focalOfAbsent(cls, config.focal).sum();
    if (positives.numel === 0) {
      const none = box.sum().mul(0);
      return { loss_cls: classes.div(batch), loss_box: none, loss_centerness: centerness.sum().mul(0) };
    }
    const named = cls.index([positives, labels.indexSelect(0, positives)]);
    classes = classes.add(focalOfPresent(named, config.focal).sub(focalOfAbsent(named, config.focal)).sum());
    const distances = targets.distances.reshape([-1, 4]).indexSelect(0, positives);
    const wanted = centernessOf(distances);
    const points = targets.points.indexSelect(0, positives.remainder(count));
    const overlap = config.boxLoss === "giou" ? giouLoss : iouLoss;
    const boxes = overlap(
      decodeDistances(points, box.indexSelect(0, positives)),
      decodeDistances(points, distances),
      { legacyBoxes: config.legacyBoxes },
    );
    return {
      loss_cls: classes.div(positives.numel + batch),
      loss_box: boxes.mul(wanted).sum().div(wanted.sum()),
      loss_centerness: ops.binaryCrossEntropyWithLogits(centerness.indexSelect(0, positives), wanted),
    };
  });
}
