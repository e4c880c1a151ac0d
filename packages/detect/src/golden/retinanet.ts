// Cases of anchors, targets, losses and post-processing of RetinaNet, in mmdetection 1.x's conventions.

import {
  type AnchorPriors,
  baseAnchors,
  type DecodeSpec,
  type DeltaCoder,
  type LevelSize,
  nms,
  octaveScales,
  softNms,
} from "@sepc/core";
import { fromTypedArray, ops, type Tensor } from "@sepc/engine";
import type { Truth } from "../detectors/detector.js";
import { freeAnchorLosses } from "../detectors/freeanchor/training.js";
import {
  batchTargets,
  labelsOfLevel,
  type RetinaTrainingConfig,
  retinaLosses,
} from "../detectors/retinanet/training.js";
import type { LevelOutput } from "../models/heads/dense.js";
import { alignedOverlaps, pairwiseOverlaps } from "../ops/overlaps.js";
import { anchorTensor, paddingPriors } from "../ops/priors.js";
import { assignByMaxIou, type MaxIouConfig } from "../training/assigners/maxIou.js";
import { decodeDeltas, encodeDeltas } from "../training/coders/delta.js";
import { decodeDistances } from "../training/coders/distance.js";
import { backwardThrough, expectInputGradients, expectLearnedFrom } from "./backward.js";
import { type Case, only } from "./case.js";
import { candidatesOf, expectDetections, pictures, postprocessOf } from "./detections.js";
import { boxLossOf, expectLosses, focalOf } from "./lossSettings.js";

type Four = [number, number, number, number];

/** @throws NotKnown for anchors whose sides are not told by their strides */
export function anchorsOf(golden: Case): AnchorPriors {
  only(golden.entry.hyper_parameters, "anchor_base_sizes");
  return {
    kind: "anchors",
    legacyBoxes: true,
    strides: golden.setting<number[]>("anchor_strides"),
    ratios: golden.setting<number[]>("anchor_ratios"),
    scales: octaveScales(golden.number("octave_base_scale"), golden.number("scales_per_octave")),
  };
}

/** All pictures are padded to this height and width. */
const paddedTo = (golden: Case): [number, number] => golden.setting<[number, number]>("img");

export function coderOf(golden: Case): DeltaCoder {
  return {
    kind: "delta",
    legacyBoxes: true,
    means: golden.setting<Four>("means", golden.setting<Four>("target_means", [0, 0, 0, 0])),
    stds: golden.setting<Four>("stds", golden.setting<Four>("target_stds", [1, 1, 1, 1])),
  };
}

/** @throws NotKnown for an assigner of another kind */
export function assignerOf(raw: Readonly<Record<string, unknown>>): MaxIouConfig {
  only(raw, "type", "MaxIoUAssigner");
  return {
    positiveIou: raw.pos_iou_thr as number,
    negativeIou: raw.neg_iou_thr as number | [number, number],
    minPositiveIou: (raw.min_pos_iou as number | undefined) ?? 0,
    takeAllTies: raw.gt_max_assign_all as boolean | undefined,
    ignoreIof: raw.ignore_iof_thr as number | undefined,
    ignoreOfPriors: raw.ignore_wrt_candidates as boolean | undefined,
  };
}

export function anchors(golden: Case): void {
  const spec = anchorsOf(golden);
  const sizes = golden.sizes as LevelSize[];
  for (const level of sizes.keys()) {
    const base = baseAnchors(spec, level);
    golden.expect(`out/base_anchors${level}`, fromTypedArray(base, [base.length / 4, 4]));
    const one = { ...spec, strides: [spec.strides[level] as number] };
    golden.expect(`out/anchors${level}`, anchorTensor(one, [sizes[level] as LevelSize]));
    for (const i of pictures(golden).keys()) {
      const padding = paddingPriors(one, [sizes[level] as LevelSize], paddedTo(golden));
      golden.expect(`out/valid_flags_img${i}_${level}`, padding.logicalNot().to({ dtype: "int64" }));
    }
  }
}

export function maxIouAssign(golden: Case): void {
  const boxes = golden.tensor("in/gt_bboxes");
  const { assigned, overlaps } = assignByMaxIou(
    golden.tensor("in/bboxes"),
    boxes,
    assignerOf(golden.setting("assigner")),
    {
      legacyBoxes: true,
      ignored: golden.has("in/gt_bboxes_ignore") ? golden.tensor("in/gt_bboxes_ignore") : null,
    },
  );
  golden.expect("out/gt_inds", assigned);
  golden.expect("out/max_overlaps", overlaps);
  golden.expect("out/labels", labelsOf(golden, assigned));
}

/** int64 `[P]`: label of each prior's box, 0 where it has none. */
export function labelsOf(golden: Case, assigned: Tensor): Tensor {
  if (!golden.has("in/gt_labels") || golden.tensor("in/gt_labels").numel === 0)
    return ops.zerosLike(assigned);
  const labels = golden.tensor("in/gt_labels").indexSelect(0, assigned.sub(1).clamp({ min: 0 }));
  return ops.where(assigned.gt(0), labels, 0);
}

/** Height and width that boxes are clipped to, where the case has them. */
export const limitsOf = (golden: Case): [number, number] | undefined =>
  golden.setting<[number, number] | undefined>("max_shape")?.slice(0, 2) as [number, number] | undefined;

/** @throws NotKnown for shifts and scales of FSAF's distances */
export function checkTblr(golden: Case): void {
  const coder = golden.setting<object>("coder", {});
  only(coder, "type", "TBLRCoder");
  only(coder, "means", [0, 0, 0, 0]);
  only(coder, "stds", [1, 1, 1, 1]);
}

export function bboxCoder(golden: Case): void {
  const coder = coderOf(golden);
  only(golden.entry.hyper_parameters, "wh_ratio_clip", 16 / 1000);
  const limits = limitsOf(golden);
  const [rois, truth] = [golden.tensor("in/rois"), golden.tensor("in/gt")];
  const deltas = golden.leaf("in/deltas");
  golden.expect("out/bbox2delta", encodeDeltas(coder, rois, truth));
  const boxes = decodeDeltas(coder, rois, deltas, limits);
  golden.expect("out/delta2bbox", boxes);
  const far = { limits, legacyBoxes: true };
  golden.expect(
    "out/distance2bbox",
    decodeDistances(golden.tensor("in/points"), golden.tensor("in/dist"), far),
  );
  golden.expect("out/iou", pairwiseOverlaps(rois, truth, { legacyBoxes: true }));
  golden.expect("out/iof", pairwiseOverlaps(rois, truth, { mode: "iof", legacyBoxes: true }));
  golden.expect("out/iou_aligned", alignedOverlaps(rois, truth, { legacyBoxes: true }));
  backwardThrough(golden, [[boxes, "cot0"]]);
  expectInputGradients(golden);
}

export function trainingOf(golden: Case): RetinaTrainingConfig {
  const train = golden.setting<Record<string, unknown>>("train_cfg");
  const positiveWeight = (train.pos_weight as number | undefined) ?? -1;
  return {
    anchors: anchorsOf(golden),
    assigner: assignerOf(train.assigner as Record<string, unknown>),
    coder: coderOf(golden),
    allowedBorder: (train.allowed_border as number | undefined) ?? -1,
    positiveWeight: positiveWeight > 0 ? positiveWeight : 1,
    focal: focalOf(golden),
    beta: boxLossOf(golden, { type: "SmoothL1Loss" }).beta,
  };
}

export function truthsOf(golden: Case): Truth[] {
  return pictures(golden).map((size, i) => {
    const ignored = `in/gt_bboxes_ignore${i}`;
    return {
      boxes: golden.tensor(`in/gt_bboxes${i}`),
      labels: golden.tensor(`in/gt_labels${i}`).sub(1),
      ignored: golden.has(ignored) ? golden.tensor(ignored) : null,
      size,
      padded: paddedTo(golden),
    };
  });
}

export function levelsOf(golden: Case, leaves: boolean): LevelOutput[] {
  const take = (name: string): Tensor => (leaves ? golden.leaf(name) : golden.tensor(name));
  return golden.sizes.map((_, i) => ({ cls: take(`in/cls_score${i}`), box: take(`in/bbox_pred${i}`) }));
}

export function retinaLoss(golden: Case): void {
  only(golden.entry.hyper_parameters, "cls", "SepcRetinaHead", "RetinaHead", "RetinaSepBNHead");
  const config = trainingOf(golden);
  const truths = truthsOf(golden);
  const levels = levelsOf(golden, true);
  const sizes = levels.map(({ box }) => box.shape.slice(2) as [number, number]);
  const targets = batchTargets(config, sizes, truths);
  const perCell = config.anchors.ratios.length * config.anchors.scales.length;
  const squeezed = (x: Tensor): Tensor => (truths.length === 1 ? x.squeeze(0) : x);
  let first = 0;
  for (const [level, [height, width]] of sizes.entries()) {
    const count = height * width * perCell;
    const labels = labelsOfLevel(targets, perCell, level);
    golden.expect(`out/labels${level}`, squeezed(labels.add(1).clamp({ min: 0 })));
    const weights = ops.where(
      labels.ge(0),
      config.positiveWeight ?? 1,
      labels.ge(-1).to({ dtype: "float32" }),
    );
    golden.expect(`out/label_weights${level}`, squeezed(weights.to({ dtype: "float32" })));
    const dense = targets.images.map(({ positives, deltas }) => {
      const all = ops.zerosLike(anchorTensor(config.anchors, sizes));
      const full = positives.numel === 0 ? all : ops.indexPut(all, [positives], deltas);
      return full.narrow(0, first, count);
    });
    const boxes = squeezed(ops.stack(dense));
    golden.expect(`out/bbox_targets${level}`, boxes);
    const positive = squeezed(labels.ge(0)).to({ dtype: "float32" }).unsqueeze(-1).expandAs(boxes);
    golden.expect(`out/bbox_weights${level}`, positive);
    first += count;
  }
  const total = expectLosses(golden, retinaLosses(config, levels, targets));
  const counted = (n: number): Tensor => fromTypedArray(BigInt64Array.of(BigInt(n)), []);
  golden.expect("out/num_total_pos", counted(targets.positives));
  const negatives = targets.images.map(({ labels }) => Math.max(Number(labels.eq(-1).sum().item()), 1));
  golden.expect("out/num_total_neg", counted(negatives.reduce((sum, n) => sum + n)));
  expectLearnedFrom(golden, total);
}

export function getBboxes(golden: Case): void {
  const anchored = ["SepcRetinaHead", "RetinaHead", "RetinaSepBNHead"];
  const free = ["FreeAnchorRetinaHead", "SepcFreeAnchorRetinaHead"];
  only(golden.entry.hyper_parameters, "cls", ...anchored, ...free, "FSAFHead");
  only(golden.setting<object>("loss_cls", {}), "type", "FocalLoss");
  const isFsaf = golden.text("cls") === "FSAFHead";
  if (isFsaf) checkTblr(golden);
  const postprocess = postprocessOf(golden);
  const spec: DecodeSpec = {
    priors: anchorsOf(golden),
    coder: isFsaf ? { kind: "tblr", legacyBoxes: true } : coderOf(golden),
    legacyBoxes: true,
    postprocess,
  };
  const levels = levelsOf(golden, false);
  expectDetections(golden, spec, (n) =>
    candidatesOf(levels, postprocess.perLevel, golden.number("num_classes") - 1, n),
  );
}

export function suppression(golden: Case): void {
  const rows = golden.tensor("in/dets");
  const boxes = rows.narrow(1, 0, 4).contiguous().toTypedArray() as Float32Array;
  const scores = rows.select(1, 4).contiguous().toTypedArray() as Float32Array;
  const options = {
    iouThreshold: golden.number("iou_thr"),
    sigma: golden.number("sigma", 0.5),
    legacyBoxes: true,
  };
  const whole = (values: readonly number[]): Tensor =>
    fromTypedArray(BigInt64Array.from(values, BigInt), [values.length]);
  golden.expect("out/keep", whole(nms(boxes, scores, options).sort((a, b) => a - b)));
  for (const method of ["linear", "gaussian"] as const) {
    const kept = softNms(boxes, scores, { ...options, method, minScore: golden.number("min_score") });
    golden.expect(`out/soft_${method}_inds`, whole(kept.map(({ row }) => row)));
    const values = kept.flatMap(({ row, score }) => [...boxes.subarray(4 * row, 4 * row + 4), score]);
    golden.expect(`out/soft_${method}_dets`, fromTypedArray(Float32Array.from(values), [kept.length, 5]));
  }
}

export function freeAnchorLoss(golden: Case): void {
  const levels = levelsOf(golden, true);
  const box = boxLossOf(golden, { type: "SmoothL1Loss", weight: 0.75 });
  const config = {
    anchors: anchorsOf(golden),
    coder: coderOf(golden),
    bagSize: golden.number("pre_anchor_topk", 50),
    boxThreshold: golden.number("bbox_thr", 0.6),
    gamma: golden.number("gamma", 2),
    alpha: golden.number("alpha", 0.5),
    beta: box.beta,
    boxWeight: box.weight,
  };
  const losses = freeAnchorLosses(config, levels, truthsOf(golden));
  expectLearnedFrom(golden, expectLosses(golden, losses));
}
