// Cases of FSAF in the official code's conventions.
import type { AnchorPriors, LevelSize, TblrCoder } from "@sepc/core";
import { ops, type Tensor } from "@sepc/engine";
import { type FsafTraining, fsafLosses, fsafTargets, onlineSelection } from "../detectors/fsaf/training.js";
import { byPrior } from "../models/heads/select.js";
import { assignByEffectiveArea, type EffectiveAreaConfig } from "../training/assigners/effectiveArea.js";
import { decodeTblr, encodeTblr } from "../training/coders/tblr.js";
import { tblrIouLoss } from "../training/losses/tblrIou.js";
import { backwardThrough, expectInputGradients, expectLearnedFrom } from "./backward.js";
import { type Case, only } from "./case.js";
import { expectLosses, focalOf } from "./lossSettings.js";
import { anchorsOf, checkTblr, labelsOf, levelsOf, limitsOf, truthsOf } from "./retinanet.js";

interface OfficialAssigner {
  readonly pos_area_thr: number;
  readonly neg_area_thr: number;
  readonly min_pos_iof?: number;
}

const coder: TblrCoder = { kind: "tblr", legacyBoxes: true };
const leastOverlap = 1e-6;

/** @throws NotKnown for an assigner of another kind */
export function effectiveAreaOf(raw: OfficialAssigner): EffectiveAreaConfig {
  only(raw, "type", "EffectiveAreaAssigner");
  return { effective: raw.pos_area_thr, ignored: raw.neg_area_thr, minIof: raw.min_pos_iof ?? 0.01 };
}

/** @throws NotKnown for settings that FSAF's training does not have */
export function trainingOf(golden: Case): FsafTraining {
  checkTblr(golden);
  const train = golden.setting<{ readonly assigner: OfficialAssigner }>("train_cfg");
  only(train, "allowed_border", -1);
  only(train, "pos_weight", -1, 0, 1);
  only(golden.setting<object>("loss_cls", {}), "loss_weight", 1);
  const box = golden.setting<object>("loss_bbox", {});
  only(box, "type", "IoULossTBLR");
  only(box, "eps", leastOverlap);
  only(box, "loss_weight", 1);
  only(golden.entry.hyper_parameters, "scales_per_octave", 1);
  const priors: AnchorPriors = anchorsOf(golden);
  return { priors, coder, focal: focalOf(golden), assigner: effectiveAreaOf(train.assigner) };
}

export function parts(golden: Case): void {
  checkTblr(golden);
  const assigner = effectiveAreaOf(golden.setting<OfficialAssigner>("assigner"));
  const assigned = assignByEffectiveArea(
    golden.tensor("in/bboxes"),
    golden.tensor("in/gt_bboxes"),
    assigner,
    {
      legacyBoxes: true,
    },
  );
  golden.expect("out/gt_inds", assigned);
  golden.expect("out/labels", labelsOf(golden, assigned));
  const priors = golden.tensor("in/priors");
  golden.expect("out/encode", encodeTblr(coder, priors, golden.tensor("in/gt")));
  golden.expect("out/decode", decodeTblr(coder, priors, golden.tensor("in/deltas"), limitsOf(golden)));
  const predicted = golden.leaf("in/pred_tblr");
  const { eps } = golden.setting<{ eps?: number }>("loss_bbox", {});
  const loss = tblrIouLoss(predicted, golden.tensor("in/target_tblr"), eps ?? leastOverlap);
  golden.expect("out/iou_loss", loss);
  backwardThrough(golden, [[loss, "cot0"]]);
  expectInputGradients(golden);
}

export function loss(golden: Case): void {
  const config = trainingOf(golden);
  const maps = levelsOf(golden, true);
  const truths = truthsOf(golden);
  const targets = fsafTargets(config, golden.sizes as LevelSize[], truths);
  expectTargets(golden, targets);
  const classes = golden.number("num_classes") - 1;
  const rows = (map: "cls" | "box", width: number): Tensor =>
    ops
      .cat(
        maps.map((level) => byPrior(level[map].detach(), 1)),
        1,
      )
      .reshape([-1, width]);
  const found = onlineSelection(config, rows("cls", classes), rows("box", 4), targets);
  golden.expect("out/loss_levels", found.byLevel);
  golden.expect("out/selected_level", found.selected);
  expectLearnedFrom(golden, expectLosses(golden, fsafLosses(config, maps, targets)));
}

/** Targets level by level, as mmdetection lays them out. */
function expectTargets(golden: Case, targets: ReturnType<typeof fsafTargets>): void {
  const { assigned, rows, labels, boxes, sizes } = targets;
  const [batch, count] = assigned.shape as [number, number];
  const filled = (width: number, values: Tensor): Tensor => {
    const empty = values.newZeros(width === 1 ? [batch * count] : [batch * count, width]);
    return ops.indexPut(empty, [rows], values).reshape(width === 1 ? [batch, count] : [batch, count, width]);
  };
  const all = {
    labels: filled(1, labels.add(1)),
    label_weights: assigned.ge(0).to({ dtype: "float32" }),
    bbox_targets: filled(4, boxes),
    pos_assigned_gt_inds: assigned.clamp({ min: 0 }).sub(1),
  };
  let first = 0;
  for (const [level, [height, width]] of sizes.entries()) {
    for (const [name, values] of Object.entries(all)) {
      const part = values.narrow(1, first, height * width);
      golden.expect(`out/${name}${level}`, batch === 1 ? part.squeeze(0) : part);
    }
    first += height * width;
  }
}
