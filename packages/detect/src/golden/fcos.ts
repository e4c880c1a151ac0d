// Cases of FCOS in mmdetection 1.x's conventions.
import type { DecodeSpec, LevelSize, PointPriors } from "@sepc/core";
import { backward, type nn, ops, type Tensor } from "@sepc/engine";
import { FcosHead } from "../detectors/fcos/head.js";
import { type FcosTargets, type FcosTraining, fcosLosses, fcosTargets } from "../detectors/fcos/training.js";
import type { CenternessOutput } from "../models/heads/centerness.js";
import { pointTensor } from "../ops/priors.js";
import { centernessOf } from "../training/coders/centerness.js";
import { backwardThrough } from "./backward.js";
import type { Case } from "./case.js";
import { candidatesOf, expectDetections, postprocessOf } from "./detections.js";
import { expectLosses, truthsOf } from "./retinanet.js";

const hyper = <T>(golden: Case, name: string): T => golden.entry.hyper_parameters[name] as T;

const priorsOf = (golden: Case): PointPriors => ({
  kind: "points",
  strides: hyper<number[]>(golden, "strides"),
  offset: 0.5,
});

function trainingOf(golden: Case): FcosTraining {
  const priors = priorsOf(golden);
  const radius = golden.flag("center_sampling") ? golden.number("radius", 1.5) : null;
  const loss = hyper<{ type: string } | undefined>(golden, "loss_bbox")?.type ?? "IoULoss";
  return {
    priors,
    assigner: {
      ranges: hyper<[number, number][]>(golden, "regress_ranges"),
      strides: priors.strides,
      centerRadius: radius,
      legacyBoxes: true,
    },
    focal: { gamma: 2, alpha: 0.25 },
    boxLoss: loss === "GIoULoss" ? "giou" : "iou",
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
  const total = expectLosses(golden, fcosLosses(config, mapsOf(golden, true), targets));
  golden.expect("out/total", total);
  backward(total);
  for (const name of golden.names("grad/in/"))
    golden.expect(`grad/in/${name}`, golden.tensor(`in/${name}`).grad);
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

/** A branch as mmdetection has it: convolutions without bias, group normalisation, ReLU. */
export function branch(golden: Case, name: string, x: Tensor): Tensor {
  const { num_groups: groups } = hyper<{ num_groups: number }>(golden, "norm_cfg");
  let map = x;
  for (let i = 0; i < golden.number("stacked_convs"); i++) {
    const of = (part: string): Tensor => golden.tensor(`param/${name}.${i}.${part}`);
    const after = ops.conv2d(map, of("conv.weight"), null, { padding: 1 });
    map = ops.groupNorm(after, groups, { weight: of("gn.weight"), bias: of("gn.bias") }).relu();
  }
  return map;
}

export function headForward(golden: Case): void {
  const head = new FcosHead({
    channels: golden.number("C"),
    classes: golden.number("num_classes") - 1,
    strides: hyper<number[]>(golden, "strides"),
    normalised: false,
    centernessOnBox: false,
  });
  const rename = (name: string): string =>
    name
      .replace(/^fcos_cls\./, "cls.")
      .replace(/^fcos_reg\./, "box.")
      .replace(/^fcos_centerness\./, "centerness.")
      .replace(/^scales\.(\d+)\.scale$/, "scales.$1");
  const own = golden.names("param/").filter((name) => !/_convs\./.test(name));
  head.loadStateDict(new Map(own.map((name) => [rename(name), golden.tensor(`param/${name}`)])));
  for (const name of golden.names("param/")) if (/_convs\./.test(name)) golden.leaf(`param/${name}`);
  const maps = golden.sizes.map((_, level) => {
    const x = golden.leaf(`in/x${level}`);
    return head.forward(branch(golden, "cls_convs", x), branch(golden, "reg_convs", x), level);
  });
  for (const [i, { cls, box, centerness }] of maps.entries()) {
    golden.expect(`out/cls_score${i}`, cls);
    golden.expect(`out/bbox_pred${i}`, box);
    golden.expect(`out/centerness${i}`, centerness);
  }
  backwardThrough(
    maps.flatMap(({ cls, box, centerness }, i) => [
      [cls, golden.tensor(`in/cot_cls${i}`)] as const,
      [box, golden.tensor(`in/cot_reg${i}`)] as const,
      [centerness, golden.tensor(`in/cot_ctr${i}`)] as const,
    ]),
  );
  const parameters: Map<string, nn.Parameter> = new Map(head.namedParameters());
  for (const name of golden.names("grad/in/"))
    golden.expect(`grad/in/${name}`, golden.tensor(`in/${name}`).grad);
  for (const name of golden.names("grad/param/")) {
    const gradient = /_convs\./.test(name)
      ? golden.tensor(`param/${name}`).grad
      : parameters.get(rename(name))?.grad;
    golden.expect(`grad/param/${name}`, gradient ?? null);
  }
}
