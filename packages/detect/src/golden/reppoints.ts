// Cases of RepPoints in mmdetection 1.x's conventions.
import type { DecodeSpec, PointPriors } from "@sepc/core";
import { backward, fromTypedArray, ops, type Tensor } from "@sepc/engine";
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
import { backwardThrough } from "./backward.js";
import type { Case } from "./case.js";
import { candidatesOf, expectDetections, postprocessOf } from "./detections.js";
import { branch } from "./fcos.js";
import { assignerOf, expectLosses, truthsOf } from "./retinanet.js";

const hyper = <T>(golden: Case, name: string): T => golden.entry.hyper_parameters[name] as T;

const momentGradient = 0.01;

const priorsOf = (golden: Case): PointPriors => ({
  kind: "points",
  strides: hyper<number[]>(golden, "strides"),
  offset: 0,
});

interface Train {
  readonly init: { readonly assigner: { readonly scale: number; readonly pos_num: number } };
  readonly refine: { readonly assigner: Record<string, unknown> };
}

function trainingOf(golden: Case): RepPointsTraining {
  const { init, refine } = hyper<Train>(golden, "train_cfg");
  return {
    priors: priorsOf(golden),
    baseScale: init.assigner.scale,
    pointsPerBox: init.assigner.pos_num,
    assigner: assignerOf(refine.assigner),
    legacyBoxes: true,
    focal: { gamma: 2, alpha: 0.25 },
    beta: 0.11,
    initWeight: 0.5,
    refineWeight: 1,
  };
}

function toBoxesOf(golden: Case, leaf: boolean): PointsToBoxes {
  const method = golden.text("transform_method").replace("partial_minmax", "partialMinmax") as BoxFrom;
  if (method !== "moment") return (points) => pointsToBoxes(points, method);
  const transfer = leaf ? golden.leaf("in/moment_transfer") : golden.tensor("in/moment_transfer");
  return (points) => pointsToBoxes(points, method, scaleGradient(transfer, momentGradient).exp());
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
  const total = expectLosses(golden, repPointsLosses(config, maps, toBoxes, targets));
  golden.expect("out/total", total);
  backward(total);
  for (const name of golden.names("grad/in/"))
    golden.expect(`grad/in/${name}`, golden.tensor(`in/${name}`).grad);
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

export function headForward(golden: Case): void {
  const head = new RepPointsHead({
    channels: golden.number("C"),
    classes: golden.number("num_classes") - 1,
    kernelSize: 3,
    boxFrom: "moment",
    momentGradient,
    offsetGradient: 0.1,
  });
  const inBranch = (name: string): boolean => /_convs\./.test(name);
  const own = golden.names("param/").filter((name) => !inBranch(name));
  head.loadStateDict(new Map(own.map((name) => [rename(name), golden.tensor(`param/${name}`)])));
  for (const name of golden.names("param/").filter(inBranch)) golden.leaf(`param/${name}`);
  const maps = golden.sizes.map((_, level) => {
    const x = golden.leaf(`in/x${level}`);
    return head.forward(branch(golden, "cls_convs", x), branch(golden, "reg_convs", x));
  });
  for (const [i, { cls, init, refine }] of maps.entries()) {
    golden.expect(`out/cls_out${i}`, cls);
    golden.expect(`out/pts_init${i}`, init);
    golden.expect(`out/pts_refine${i}`, refine);
  }
  backwardThrough(
    maps.flatMap(({ cls, init, refine }, i) => [
      [cls, golden.tensor(`in/cot_cls${i}`)] as const,
      [init, golden.tensor(`in/cot_init${i}`)] as const,
      [refine, golden.tensor(`in/cot_refine${i}`)] as const,
    ]),
  );
  const parameters = new Map(head.namedParameters());
  for (const name of golden.names("grad/in/"))
    golden.expect(`grad/in/${name}`, golden.tensor(`in/${name}`).grad);
  for (const name of golden.names("grad/param/")) {
    const gradient = inBranch(name)
      ? golden.tensor(`param/${name}`).grad
      : parameters.get(rename(name))?.grad;
    golden.expect(`grad/param/${name}`, gradient ?? null);
  }
}
