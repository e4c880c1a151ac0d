// Cases of FSAF in the official code's conventions.
import type { AnchorPriors, LevelSize, TblrCoder } from "@sepc/core";
import { backward, ops, type Tensor } from "@sepc/engine";
import { fsafLosses, fsafTargets, onlineSelection } from "../detectors/fsaf/training.js";
import { byPrior } from "../models/heads/select.js";
import { assignByEffectiveArea, type EffectiveAreaConfig } from "../training/assigners/effectiveArea.js";
import { decodeTblr, encodeTblr } from "../training/coders/tblr.js";
import { tblrIouLoss } from "../training/losses/tblrIou.js";
import { backwardThrough } from "./backward.js";
import type { Case } from "./case.js";
import { anchorsOf, expectLosses, levelsOf, truthsOf } from "./retinanet.js";

interface OfficialAssigner {
  readonly pos_area_thr: number;
  readonly neg_area_thr: number;
  readonly min_pos_iof: number;
}

const coder: TblrCoder = { kind: "tblr", legacyBoxes: true };
const focal = { gamma: 2, alpha: 0.25 };

const assignerOf = (raw: OfficialAssigner): EffectiveAreaConfig => ({
  effective: raw.pos_area_thr,
  ignored: raw.neg_area_thr,
  minIof: raw.min_pos_iof,
});

export function parts(golden: Case): void {
  const assigner = assignerOf(golden.entry.hyper_parameters.assigner as OfficialAssigner);
  const assigned = assignByEffectiveArea(
    golden.tensor("in/bboxes"),
    golden.tensor("in/gt_bboxes"),
    assigner,
    {
      legacyBoxes: true,
    },
  );
  golden.expect("out/gt_inds", assigned);
  const labels = golden.tensor("in/gt_labels").indexSelect(0, assigned.sub(1).clamp({ min: 0 }));
  golden.expect("out/labels", ops.where(assigned.gt(0), labels, 0));
  const priors = golden.tensor("in/priors");
  const [height, width] = golden.entry.hyper_parameters.max_shape as [number, number];
  golden.expect("out/encode", encodeTblr(coder, priors, golden.tensor("in/gt")));
  golden.expect("out/decode", decodeTblr(coder, priors, golden.tensor("in/deltas"), [height, width]));
  const predicted = golden.leaf("in/pred_tblr");
  const loss = tblrIouLoss(predicted, golden.tensor("in/target_tblr"));
  golden.expect("out/iou_loss", loss);
  backwardThrough([[loss, golden.tensor("in/cot0")]]);
  golden.expect("grad/pred_tblr", predicted.grad);
}

export function loss(golden: Case): void {
  const { assigner } = golden.entry.hyper_parameters.train_cfg as { assigner: OfficialAssigner };
  const priors: AnchorPriors = anchorsOf(golden);
  const config = { priors, coder, focal, assigner: assignerOf(assigner) };
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
  const losses = fsafLosses(config, maps, targets);
  expectLosses(golden, losses);
  const trained = Object.entries(losses).filter(([name]) => name.startsWith("loss"));
  const total = trained.map(([, one]) => one).reduce((sum, one) => sum.add(one));
  golden.expect("out/total", total);
  backward(total);
  for (const name of golden.names("grad/in/"))
    golden.expect(`grad/in/${name}`, golden.tensor(`in/${name}`).grad);
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
