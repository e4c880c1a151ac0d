// Cases of RepPoints in mmdetection 1.x's conventions.
import type { DecodeSpec, PointPriors } from "@sepc/core";
import { fromTypedArray, ops, type Tensor } from "@sepc/engine";
import { RepPointsHead, type RepPointsOutput } from "../detectors/reppoints/head.js";
import { distancesOf } from "../detectors/reppoints/network.js";
import { type BoxFrom, pointsToBoxes, scaleGradient } from "../detectors/reppoints/points.js";
import {
  type PointsToBoxes,
  type RepPointsTargets,
  repPointsTargets,
  type Stage,
} from "../detectors/reppoints/targets.js";
import { type RepPointsTraining, repPointsLosses } from "../detectors/reppoints/training.js";
import { nameFromMmdetection } from "../detectors/reppoints/weights.js";
import { expectLearnedFrom } from "./backward.js";
import { replayBranches } from "./branches.js";
import { type Case, only } from "./case.js";
import { candidatesOf, expectDetections, postprocessOf } from "./detections.js";
import { expectHeadMaps } from "./headMaps.js";
import { type BoxLoss, boxLossOf, expectLosses, focalOf } from "./lossSettings.js";
import { assignerOf, truthsOf } from "./retinanet.js";

const momentGradientOf = (golden: Case): number => golden.number("moment_mul", 0.01);

const priorsOf = (golden: Case): PointPriors => ({
  kind: "points",
  strides: golden.setting<number[]>("strides"),
  offset: 0,
});

interface Train {
  readonly init: { readonly assigner: { readonly scale: number; readonly pos_num: number } };
  readonly refine: { readonly assigner: Readonly<Record<string, unknown>> };
}

function trainingOf(golden: Case): RepPointsTraining {
  const { init, refine } = golden.setting<Train>("train_cfg");
  for (const stage of [init, refine]) {
    only(stage, "allowed_border", -1);
    only(stage, "pos_weight", -1, 0, 1);
  }
  only(init.assigner, "type", "PointAssigner");
  only(golden.entry.hyper_parameters, "point_base_scale", init.assigner.scale);
  const [first, second] = (["init", "refine"] as const).map((stage) =>
    boxLossOf(golden, {
      name: `loss_bbox_${stage}`,
      type: "SmoothL1Loss",
      weight: stage === "init" ? 0.5 : 1,
    }),
  ) as [BoxLoss, BoxLoss];
  only({ beta: second.beta }, "beta", first.beta);
  return {
    priors: priorsOf(golden),
    baseScale: init.assigner.scale,
    pointsPerBox: init.assigner.pos_num,
    assigner: assignerOf(refine.assigner),
    legacyBoxes: true,
    focal: focalOf(golden),
    beta: first.beta,
    initWeight: first.weight,
    refineWeight: second.weight,
  };
}

function boxFromOf(golden: Case): BoxFrom {
  only(golden.entry.hyper_parameters, "transform_method", "moment", "minmax", "partial_minmax");
  const method = golden.setting<string>("transform_method", "moment");
  return method === "partial_minmax" ? "partialMinmax" : (method as BoxFrom);
}

function toBoxesOf(golden: Case, leaf: boolean): PointsToBoxes {
  const method = boxFromOf(golden);
  if (method !== "moment") return (points) => pointsToBoxes(points, method);
  const transfer = leaf ? golden.leaf("in/moment_transfer") : golden.tensor("in/moment_transfer");
  return (points) => pointsToBoxes(points, method, scaleGradient(transfer, momentGradientOf(golden)).exp());
}

function mapsOf(golden: Case, leaves: boolean): RepPointsOutput[] {
  const take = (name: string): Tensor => (leaves ? golden.leaf(name) : golden.tensor(name));
  return golden.sizes.map((_, i) => ({
    cls: take(`in/cls_out${i}`),
    init: take(`in/pts_init${i}`),
    refine: take(`in/pts_refine${i}`),
  }));
}

/** A stage's boxes at all rows, [N, P, 4], 0 where there are none, and 1 where there are. */
function dense({ rows, boxes }: Stage, batch: number, count: number): { boxes: Tensor; weights: Tensor } {
  const none = boxes.newZeros([batch * count, 4]);
  const put = (values: Tensor): Tensor =>
    (rows.numel === 0 ? none : ops.indexPut(none, [rows], values)).reshape([batch, count, 4]);
  return { boxes: put(boxes), weights: put(boxes.onesLike()) };
}

function expectTargets(golden: Case, targets: RepPointsTargets): void {
  const [batch, count] = targets.init.labels.shape as [number, number];
  const squeezed = (x: Tensor): Tensor => (batch === 1 ? x.squeeze(0) : x);
  for (const stage of ["init", "refine"] as const) {
    const { boxes, weights } = dense(targets[stage], batch, count);
    let first = 0;
    for (const [level, [height, width]] of golden.sizes.entries()) {
      const part = (x: Tensor): Tensor => squeezed(x.narrow(1, first, height * width));
      golden.expect(`out/${stage}_bbox_gt${level}`, part(boxes));
      golden.expect(`out/${stage}_bbox_weights${level}`, part(weights));
      const labels = part(targets[stage].labels);
      golden.expect(`out/${stage}_labels${level}`, labels.add(1).clamp({ min: 0 }));
      golden.expect(`out/${stage}_label_weights${level}`, labels.ge(-1).to({ dtype: "float32" }));
      first += height * width;
    }
    const positives = BigInt(targets[stage].positives);
    golden.expect(`out/${stage}_num_pos`, fromTypedArray(BigInt64Array.of(positives), []));
  }
}

export function loss(golden: Case): void {
  const config = trainingOf(golden);
  const maps = mapsOf(golden, true);
  const toBoxes = toBoxesOf(golden, true);
  for (const [level, { init }] of maps.entries()) golden.expect(`out/init_bbox${level}`, toBoxes(init));
  const targets = repPointsTargets(config, maps, toBoxes, truthsOf(golden));
  expectTargets(golden, targets);
  expectLearnedFrom(golden, expectLosses(golden, repPointsLosses(config, maps, toBoxes, targets)));
}

export function getBboxes(golden: Case): void {
  const priors = priorsOf(golden);
  const postprocess = postprocessOf(golden);
  const spec: DecodeSpec = {
    priors,
    coder: { kind: "distance" },
    legacyBoxes: true,
    clipToEdge: true,
    postprocess,
  };
  const toBoxes = toBoxesOf(golden, false);
  const levels = mapsOf(golden, false).map(({ cls, refine }, level) => ({
    cls,
    box: distancesOf(toBoxes(refine), priors.strides[level] as number),
  }));
  expectDetections(golden, spec, (n) =>
    candidatesOf(levels, postprocess.perLevel, golden.number("num_classes") - 1, n),
  );
}

const rename = (name: string): string =>
  (nameFromMmdetection(`bbox_head.${name}`) ?? name).replace(/^head\./, "");

const mapNames = {
  cls: ["cls_out", "cot_cls"],
  init: ["pts_init", "cot_init"],
  refine: ["pts_refine", "cot_refine"],
} as const;

export function headForward(golden: Case): void {
  only(golden.entry.hyper_parameters, "use_grid_points", false);
  only(golden.entry.hyper_parameters, "center_init", true);
  only(golden.entry.hyper_parameters, "point_feat_channels", golden.number("C"));
  const head = new RepPointsHead({
    channels: golden.number("C"),
    classes: golden.number("num_classes") - 1,
    kernelSize: Math.sqrt(golden.number("num_points", 9)),
    boxFrom: boxFromOf(golden),
    momentGradient: momentGradientOf(golden),
    offsetGradient: golden.number("gradient_mul", 0.1),
  });
  replayBranches(golden, head, rename, (net) => {
    const outputs = net.features(golden).map((features) => net.head.forward(...features));
    expectHeadMaps(golden, outputs, mapNames);
  });
}
