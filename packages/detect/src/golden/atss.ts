// Cases of ATSS in mmdetection 1.x's conventions.
import type { AnchorPriors, DeltaCoder, LevelSize } from "@sepc/core";
import { fromTypedArray, ops, type Tensor } from "@sepc/engine";
import { type AtssTargets, type AtssTraining, atssLosses, atssTargets } from "../detectors/atss/training.js";
import type { CenternessOutput } from "../models/heads/centerness.js";
import { encodeDeltas } from "../training/coders/delta.js";
import { expectLearnedFrom } from "./backward.js";
import { type Case, only } from "./case.js";
import { boxLossOf, expectLosses, focalOf } from "./lossSettings.js";
import { levelsOf, truthsOf } from "./retinanet.js";

/** The head's own anchors and coder: the case's hyper-parameters tell of another head's. */
function trainingOf(golden: Case): AtssTraining {
  const train = golden.setting<object>("train_cfg", {});
  only(train, "allowed_border", -1);
  only(train, "pos_weight", -1, 0, 1);
  const anchors: AnchorPriors = {
    kind: "anchors",
    strides: golden.setting<number[]>("anchor_strides"),
    ratios: [1],
    scales: [8],
    legacyBoxes: true,
  };
  const coder: DeltaCoder = {
    kind: "delta",
    legacyBoxes: true,
    means: [0, 0, 0, 0],
    stds: [0.1, 0.1, 0.2, 0.2],
  };
  return {
    anchors,
    coder,
    assigner: { candidates: golden.number("topk") },
    focal: focalOf(golden),
    boxWeight: boxLossOf(golden, { type: "GIoULoss", weight: 2 }).weight,
  };
}

/** Targets of all rows, level by level. */
function expectTargets(golden: Case, coder: DeltaCoder, targets: AtssTargets): void {
  const { labels, rows, anchors, boxes } = targets;
  const deltas = encodeDeltas(coder, anchors, boxes);
  const [batch, count] = labels.shape as [number, number];
  const none = deltas.newZeros([batch * count, 4]);
  const dense = ops.indexPut(none, [rows], deltas).reshape([batch, count, 4]);
  let first = 0;
  for (const [level, [height, width]] of golden.sizes.entries()) {
    const part = (x: Tensor): Tensor => {
      const rows = x.narrow(1, first, height * width);
      return batch === 1 ? rows.squeeze(0) : rows;
    };
    const own = part(labels);
    golden.expect(`out/labels${level}`, own.add(1).clamp({ min: 0 }));
    golden.expect(`out/label_weights${level}`, own.ge(-1).to({ dtype: "float32" }));
    golden.expect(`out/bbox_targets${level}`, part(dense));
    first += height * width;
  }
  golden.expect("out/num_total_pos", fromTypedArray(BigInt64Array.of(BigInt(targets.positives)), []));
}

export function loss(golden: Case): void {
  const config = trainingOf(golden);
  const targets = atssTargets(config, golden.sizes as LevelSize[], truthsOf(golden));
  expectTargets(golden, config.coder, targets);
  const maps = levelsOf(golden, true).map(
    (level, i): CenternessOutput => ({ ...level, centerness: golden.leaf(`in/centerness${i}`) }),
  );
  expectLearnedFrom(golden, expectLosses(golden, atssLosses(config, maps, targets), "loss_box"));
}
