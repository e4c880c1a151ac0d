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
import { backward, fromTypedArray, ops, type Tensor } from "@sepc/engine";
import type { Losses, Truth } from "../detectors/detector.js";
import { freeAnchorLosses } from "../detectors/freeanchor/training.js";
import {
  batchTargets,
  labelsOfLevel,
  type RetinaTrainingConfig,
  retinaLosses,
} from "../detectors/retinanet/training.js";
import { DensePrediction, type LevelOutput } from "../models/heads/dense.js";
import { alignedOverlaps, pairwiseOverlaps } from "../ops/overlaps.js";
import { anchorTensor, paddingPriors } from "../ops/priors.js";
import { assignByMaxIou, type MaxIouConfig } from "../training/assigners/maxIou.js";
import { decodeDeltas, encodeDeltas } from "../training/coders/delta.js";
import { decodeDistances } from "../training/coders/distance.js";
import { backwardThrough, expectLearned } from "./backward.js";
import { type Case, NotKnown } from "./case.js";
import { candidatesOf, expectDetections, pictures, postprocessOf } from "./detections.js";
import { expectHeadMaps } from "./headMaps.js";

type Four = [number, number, number, number];

const hyper = <T>(golden: Case, name: string, fallback?: T): T =>
  (golden.entry.hyper_parameters[name] ?? fallback) as T;

export function anchorsOf(golden: Case): AnchorPriors {
  return {
    kind: "anchors",
    legacyBoxes: true,
    strides: hyper<number[]>(golden, "anchor_strides"),
    ratios: hyper<number[]>(golden, "anchor_ratios"),
    scales: octaveScales(golden.number("octave_base_scale"), golden.number("scales_per_octave")),
  };
}

/** All pictures are padded to this height and width. */
const paddedTo = (golden: Case): [number, number] => hyper<[number, number]>(golden, "img");

export function coderOf(golden: Case): DeltaCoder {
  return {
    kind: "delta",
    legacyBoxes: true,
    means: hyper<Four>(golden, "means", hyper<Four>(golden, "target_means", [0, 0, 0, 0])),
    stds: hyper<Four>(golden, "stds", hyper<Four>(golden, "target_stds", [1, 1, 1, 1])),
  };
}

export function assignerOf(raw: Record<string, unknown>): MaxIouConfig {
  return {
    positiveIou: raw.pos_iou_thr as number,
    negativeIou: raw.neg_iou_thr as number | [number, number],
    minPositiveIou: raw.min_pos_iou as number,
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
    assignerOf(hyper(golden, "assigner")),
    {
      legacyBoxes: true,
      ignored: golden.has("in/gt_bboxes_ignore") ? golden.tensor("in/gt_bboxes_ignore") : null,
    },
  );
  golden.expect("out/gt_inds", assigned);
  golden.expect("out/max_overlaps", overlaps);
  const labels = golden.tensor("in/gt_labels").indexSelect(0, assigned.sub(1).clamp({ min: 0 }));
  golden.expect("out/labels", ops.where(assigned.gt(0), labels, 0));
}

export function bboxCoder(golden: Case): void {
  const coder = coderOf(golden);
  const shape = hyper<number[] | null>(golden, "max_shape", null);
  const limits = shape === null ? undefined : (shape.slice(0, 2) as [number, number]);
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
  backwardThrough([[boxes, golden.tensor("in/cot0")]]);
  golden.expect("grad/deltas", deltas.grad);
}

export function trainingOf(golden: Case): RetinaTrainingConfig {
  const train = hyper<Record<string, unknown>>(golden, "train_cfg");
  const positiveWeight = train.pos_weight as number;
  return {
    anchors: anchorsOf(golden),
    assigner: assignerOf(train.assigner as Record<string, unknown>),
    coder: coderOf(golden),
    allowedBorder: train.allowed_border as number,
    positiveWeight: positiveWeight > 0 ? positiveWeight : 1,
    focal: { gamma: 2, alpha: 0.25 },
    beta: 0.11,
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

/** "loss_box.3" is "loss_bbox3", "loss_positive_bag" is "positive_bag_loss". */
const officialLoss = (name: string): string =>
  name
    .replace(".", "")
    .replace("loss_box", "loss_bbox")
    .replace(/^loss_(.*_bag)$/, "$1_loss");

/** Compares losses, level by level, with mmdetection's names; returns their sum. */
export function expectLosses(golden: Case, losses: Losses): Tensor {
  const all = Object.entries(losses);
  for (const [name, loss] of all) golden.expect(`out/${officialLoss(name)}`, loss);
  const trained = all.filter(([name]) => name.startsWith("loss"));
  return trained.map(([, loss]) => loss).reduce((sum, loss) => sum.add(loss));
}

export function retinaLoss(golden: Case): void {
  if (golden.text("cls") !== "SepcRetinaHead") throw new NotKnown(golden.text("cls"));
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
    if (golden.has(`out/bbox_weights${level}`)) {
      const positive = squeezed(labels.ge(0)).to({ dtype: "float32" }).unsqueeze(-1).expandAs(boxes);
      golden.expect(`out/bbox_weights${level}`, positive);
    }
    first += count;
  }
  const total = expectLosses(golden, retinaLosses(config, levels, targets));
  const counted = (n: number): Tensor => fromTypedArray(BigInt64Array.of(BigInt(n)), []);
  for (const [name, value] of [["out/num_total_pos", targets.positives]] as const)
    if (golden.has(name)) golden.expect(name, counted(value));
  if (golden.has("out/num_total_neg")) {
    const negatives = targets.images.map(({ labels }) => Math.max(Number(labels.eq(-1).sum().item()), 1));
    golden.expect("out/num_total_neg", counted(negatives.reduce((sum, n) => sum + n)));
  }
  for (const name of ["out/total", "out/loss_total"]) if (golden.has(name)) golden.expect(name, total);
  backward(total);
  for (const name of golden.names("grad/in/"))
    golden.expect(`grad/in/${name}`, golden.tensor(`in/${name}`).grad);
}

export function getBboxes(golden: Case): void {
  const isFsaf = golden.text("cls") === "FSAFHead";
  if (!isFsaf && golden.text("cls") !== "SepcRetinaHead") throw new NotKnown(golden.text("cls"));
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
  const options = { iouThreshold: golden.number("iou_thr"), legacyBoxes: true };
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

/** The prediction convolutions alone, on features of two branches. */
export function sepcRetinaHead(golden: Case): void {
  const isFsaf = golden.text("cls") === "FSAFHead";
  if (!isFsaf && golden.text("cls") !== "SepcRetinaHead") throw new NotKnown(golden.text("cls"));
  const { ratios, scales } = anchorsOf(golden);
  const head = new DensePrediction({
    channels: golden.number("C"),
    anchorsPerCell: ratios.length * scales.length,
    classes: golden.number("num_classes") - 1,
  });
  const rename = (name: string): string =>
    name.replace(/^retina_cls\./, "cls.").replace(/^retina_reg\./, "box.");
  head.loadStateDict(golden.state(rename));
  const outputs = golden.sizes
    .map((_, i) => head.forward(golden.leaf(`in/cls${i}`), golden.leaf(`in/loc${i}`)))
    .map(({ cls, box }) => ({ cls, box: isFsaf ? box.relu() : box }));
  expectHeadMaps(golden, outputs);
  expectLearned(golden, head, rename);
}

export function freeAnchorLoss(golden: Case): void {
  const levels = levelsOf(golden, true);
  const config = {
    anchors: anchorsOf(golden),
    coder: coderOf(golden),
    bagSize: 50,
    boxThreshold: 0.6,
    gamma: 2,
    alpha: 0.5,
    beta: 0.11,
    boxWeight: 0.75,
  };
  const total = expectLosses(golden, freeAnchorLosses(config, levels, truthsOf(golden)));
  golden.expect("out/total", total);
  backward(total);
  for (const name of golden.names("grad/in/"))
    golden.expect(`grad/in/${name}`, golden.tensor(`in/${name}`).grad);
}
