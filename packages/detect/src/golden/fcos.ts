// Cases of FCOS in mmdetection 1.x's conventions.
import type { DecodeSpec, LevelSize, PointPriors } from "@sepc/core";
import { ops, type Tensor } from "@sepc/engine";
import { FcosHead } from "../detectors/fcos/head.js";
import { type FcosTargets, type FcosTraining, fcosLosses, fcosTargets } from "../detectors/fcos/training.js";
import type { CenternessOutput } from "../models/heads/centerness.js";
import { pointTensor } from "../ops/priors.js";
import { centernessOf } from "../training/coders/centerness.js";
import { expectLearnedFrom } from "./backward.js";
import { replayBranches } from "./branches.js";
import { type Case, NotKnown } from "./case.js";
import { candidatesOf, expectDetections, postprocessOf } from "./detections.js";
import { expectHeadMaps } from "./headMaps.js";
import { boxLossOf, expectLosses, focalOf } from "./lossSettings.js";
import { truthsOf } from "./retinanet.js";

/** @throws NotKnown for odd ones, whose middle the official code rounds down */
function stridesOf(golden: Case): number[] {
  const strides = golden.setting<number[]>("strides");
  if (strides.some((stride) => stride % 2 !== 0)) throw new NotKnown(`strides ${JSON.stringify(strides)}`);
  return strides;
}

const priorsOf = (golden: Case): PointPriors => ({
  kind: "points",
  strides: stridesOf(golden),
  offset: 0.5,
});

function trainingOf(golden: Case): FcosTraining {
  const priors = priorsOf(golden);
  const radius = golden.flag("center_sampling")
    ? golden.number("radius", golden.number("center_sample_radius", 1.5))
    : null;
  const { type } = boxLossOf(golden, { type: "IoULoss", known: ["IoULoss", "GIoULoss"] });
  return {
    priors,
    assigner: {
      ranges: golden.setting<[number, number][]>("regress_ranges"),
      strides: priors.strides,
      centerRadius: radius,
      legacyBoxes: true,
    },
    focal: focalOf(golden),
    boxLoss: type === "GIoULoss" ? "giou" : "iou",
    legacyBoxes: true,
  };
}

function mapsOf(golden: Case, leaves: boolean): CenternessOutput[] {
  const take = (name: string): Tensor => (leaves ? golden.leaf(name) : golden.tensor(name));
  return golden.sizes.map((_, i) => ({
    cls: take(`in/cls_score${i}`),
    box: take(`in/bbox_pred${i}`),
    centerness: take(`in/centerness${i}`),
  }));
}

/** Targets level by level, in each picture by picture. */
function expectTargets(golden: Case, { labels, distances }: FcosTargets): void {
  let first = 0;
  const central: Tensor[] = [];
  for (const [level, [height, width]] of golden.sizes.entries()) {
    const count = height * width;
    const own = labels.narrow(1, first, count).reshape([-1]);
    const positive = own.ge(0);
    const boxes = distances.narrow(1, first, count).reshape([-1, 4]);
    golden.expect(`out/labels${level}`, own.add(1));
    golden.expect(`out/bbox_targets${level}`, ops.where(positive.unsqueeze(1), boxes, 0));
    central.push(boxes.indexSelect(0, positive.nonzero().squeeze(1)));
    first += count;
  }
  golden.expect("out/centerness_targets", centernessOf(ops.cat(central)));
}

export function loss(golden: Case): void {
  const config = trainingOf(golden);
  const sizes = golden.sizes as LevelSize[];
  for (const [level, size] of sizes.entries()) {
    const one = { ...config.priors, strides: [config.priors.strides[level] as number] };
    golden.expect(`out/points${level}`, pointTensor(one, [size]));
  }
  const targets = fcosTargets(config, sizes, truthsOf(golden));
  expectTargets(golden, targets);
  expectLearnedFrom(golden, expectLosses(golden, fcosLosses(config, mapsOf(golden, true), targets)));
}

export function getBboxes(golden: Case): void {
  const postprocess = postprocessOf(golden);
  const spec: DecodeSpec = {
    priors: priorsOf(golden),
    coder: { kind: "distance" },
    legacyBoxes: true,
    postprocess,
  };
  const maps = mapsOf(golden, false);
  expectDetections(golden, spec, (n) =>
    candidatesOf(maps, postprocess.perLevel, golden.number("num_classes") - 1, n),
  );
}

const maps = {
  cls: ["cls_score", "cot_cls"],
  box: ["bbox_pred", "cot_reg"],
  centerness: ["centerness", "cot_ctr"],
} as const;

const rename = (name: string): string =>
  name
    .replace(/^fcos_cls\./, "cls.")
    .replace(/^fcos_reg\./, "box.")
    .replace(/^fcos_centerness\./, "centerness.")
    .replace(/^scales\.(\d+)\.scale$/, "scales.$1");

export function headForward(golden: Case): void {
  const head = new FcosHead({
    channels: golden.number("C"),
    classes: golden.number("num_classes") - 1,
    strides: stridesOf(golden),
    normalised: false,
    centernessOnBox: false,
  });
  replayBranches(golden, head, rename, (net) => {
    const outputs = net.features(golden).map(([cls, box], level) => net.head.forward(cls, box, level));
    expectHeadMaps(golden, outputs, maps);
  });
}
