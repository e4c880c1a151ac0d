import type { AnchorPriors, LevelSize, TblrCoder } from "@sepc/core";
import { noGrad, ops, scope, type Tensor } from "@sepc/engine";
import type { LevelOutput } from "../../models/heads/dense.js";
import { byPrior } from "../../models/heads/select.js";
import { anchorTensor, paddingPriors } from "../../ops/priors.js";
import { assignByEffectiveArea, type EffectiveAreaConfig } from "../../training/assigners/effectiveArea.js";
import { encodeTblr } from "../../training/coders/tblr.js";
import { levelOfPriors, namedByLevel, sumByLevel } from "../../training/levels.js";
import { type FocalConfig, focalOfAbsent, focalOfPresent } from "../../training/losses/focal.js";
import { tblrIouLoss } from "../../training/losses/tblrIou.js";
import type { Losses, Truth } from "../detector.js";

export interface FsafTraining {
  readonly priors: AnchorPriors;
  readonly coder: TblrCoder;
  readonly assigner: EffectiveAreaConfig;
  readonly focal: FocalConfig;
}

/** Targets of a batch: N pictures, P priors each, G objects in all, M positives. */
export interface FsafTargets {
  readonly sizes: readonly LevelSize[];
  /** int64 [N, P]: -1 counts neither way, 0 background, else 1 + the object's place in its picture */
  readonly assigned: Tensor;
  /** int64 [M]: places of positives among all N·P rows, their objects among all G, and their levels */
  readonly rows: Tensor;
  readonly objects: Tensor;
  readonly levels: Tensor;
  /** int64 [M] */
  readonly labels: Tensor;
  /** [M, 4] */
  readonly boxes: Tensor;
  readonly objectCount: number;
}

export function fsafTargets(
  config: FsafTraining,
  sizes: readonly LevelSize[],
  truths: readonly Truth[],
): FsafTargets {
  return scope(() => {
    const { device } = (truths[0] as Truth).boxes;
    const priors = anchorTensor(config.priors, sizes, device);
    const { legacyBoxes } = config.priors;
    const assigned = truths.map((truth) => {
      const excluded = paddingPriors(config.priors, sizes, truth.padded, device);
      return assignByEffectiveArea(priors, truth.boxes, config.assigner, { excluded, legacyBoxes });
    });
    let before = 0;
    const global = assigned.map((own, n) => {
      const shifted = own.add(before);
      before += (truths[n] as Truth).labels.numel;
      return ops.where(own.gt(0), shifted, 0);
    });
    const objectsPlusOne = ops.cat(global);
    const rows = objectsPlusOne.gt(0).nonzero().squeeze(1);
    const objects = objectsPlusOne.indexSelect(0, rows).sub(1);
    const places = rows.remainder(priors.shape[0] as number);
    const levels = levelOfPriors(sizes, device).indexSelect(0, places);
    const truthBoxes = ops.cat(truths.map(({ boxes }) => boxes)).indexSelect(0, objects);
    return {
      sizes,
      assigned: ops.stack(assigned),
      rows,
      objects,
      levels,
      labels: ops.cat(truths.map(({ labels }) => labels)).indexSelect(0, objects),
      boxes: encodeTblr(config.coder, priors.indexSelect(0, places), truthBoxes),
      objectCount: before,
    };
  });
}

/** Each object's mean loss at each level, [L, G]; 1e6 where it has no positives. */
export function lossByLevel(targets: FsafTargets, losses: Tensor): Tensor {
  const { levels, objects, objectCount, sizes } = targets;
  const cells = sizes.length * objectCount;
  const place = levels.mul(objectCount).add(objects);
  const sums = losses.newZeros([cells]).indexAdd(0, place, losses);
  const counts = losses.newZeros([cells]).indexAdd(0, place, losses.onesLike());
  const means = ops.where(counts.gt(0), sums.div(counts), 1e6);
  return means.reshape([sizes.length, objectCount]);
}

/** What the positives lose, and which of them their object's best level keeps (section 3.4). */
export function onlineSelection(config: FsafTraining, logits: Tensor, boxes: Tensor, targets: FsafTargets) {
  const { rows, labels, levels, objects } = targets;
  const own = logits.indexSelect(0, rows);
  const named = own.gather(1, labels.unsqueeze(1)).squeeze(1);
  const absent = focalOfAbsent(named, config.focal);
  const change = focalOfPresent(named, config.focal).sub(absent);
  const box = tblrIouLoss(boxes.indexSelect(0, rows), targets.boxes);
  const byLevel = noGrad(() =>
    lossByLevel(targets, focalOfAbsent(own, config.focal).sum(1).add(change).add(box)),
  );
  const selected = byLevel.argmin(0);
  const kept = selected.indexSelect(0, objects).eq(levels);
  const correct = own.argmax(1).eq(labels).logicalAnd(kept).sum();
  return { absent, change, box, byLevel, selected, kept, correct };
}

/** Focal loss of classes and overlap loss of boxes, at each object's best level only. */
export function fsafLosses(config: FsafTraining, maps: readonly LevelOutput[], targets: FsafTargets): Losses {
  return scope(() => {
    const count = maps.length;
    const classes = (maps[0] as LevelOutput).cls.shape[1] as number;
    const batch = targets.assigned.shape[0] as number;
    const rowsOf = (map: "cls" | "box"): Tensor =>
      ops.cat(
        maps.map((level) => byPrior(level[map], 1)),
        1,
      );
    const [cls, box] = [rowsOf("cls"), rowsOf("box")];
    const counted = targets.assigned.ge(0).to({ dtype: cls.dtype }).unsqueeze(2);
    const background = focalOfAbsent(cls, config.focal).mul(counted);
    const lengths = targets.sizes.map(([height, width]) => height * width);
    const absent = ops.stack(background.split(lengths, 1).map((part) => part.sum()));
    if (targets.rows.numel === 0)
      return named(absent, box.sum().mul(0).expand([count]), {
        num_pos: absent.newZeros([]),
        accuracy: absent.newZeros([]),
      });
    const found = onlineSelection(config, cls.reshape([-1, classes]), box.reshape([-1, 4]), targets);
    const kept = found.kept.to({ dtype: cls.dtype });
    const change = ops.where(found.kept, found.change, found.absent.neg());
    const positives = kept.sum();
    const losses = absent.add(sumByLevel(change, targets.levels, count)).div(positives);
    const boxLosses = sumByLevel(found.box.mul(kept), targets.levels, count).div(positives);
    return named(losses, boxLosses, {
      num_pos: positives.div(batch),
      accuracy: found.correct.div(positives.add(1e-3)),
    });
  });
}

/** Losses under their names, level by level; figures that are no loss keep theirs. */
function named(cls: Tensor, box: Tensor, figures: Losses): Losses {
  return { ...namedByLevel("loss_cls", cls), ...namedByLevel("loss_box", box), ...figures };
}
