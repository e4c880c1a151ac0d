// Cases of ATSS in mmdetection 1.x's conventions.
import type { AnchorPriors, DeltaCoder, LevelSize } from "@sepc/core";
import { backward, fromTypedArray, ops, type Tensor } from "@sepc/engine";
import { type AtssTargets, type AtssTraining, atssLosses, atssTargets } from "../detectors/atss/training.js";
import type { CenternessOutput } from "../models/heads/centerness.js";
import { encodeDeltas } from "../training/coders/delta.js";
import type { Case } from "./case.js";
import { expectLosses, levelsOf, truthsOf } from "./retinanet.js";

/** The head's own anchors and coder: the case's hyper-parameters tell of another head's. */
function trainingOf(golden: Case): AtssTraining {
  const anchors: AnchorPriors = {
    kind: "anchors",
    strides: golden.entry.hyper_parameters.anchor_strides as number[],
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
    focal: { gamma: 2, alpha: 0.25 },
    boxWeight: 2,
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
    const own = labels.narrow(1, first, height * width);
    golden.expect(`out/labels${level}`, own.add(1).clamp({ min: 0 }));
    golden.expect(`out/label_weights${level}`, own.ge(-1).to({ dtype: "float32" }));
    golden.expect(`out/bbox_targets${level}`, dense.narrow(1, first, height * width));
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
  const total = expectLosses(golden, atssLosses(config, maps, targets));
  golden.expect("out/total", total);
  backward(total);
  for (const name of golden.names("grad/in/"))
    golden.expect(`grad/in/${name}`, (golden.tensor(`in/${name}`) as Tensor).grad);
}
