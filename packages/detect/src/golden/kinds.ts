import { nn, type Tensor, tensorOp } from "@sepc/engine";
import { PConv } from "../models/necks/sepc/pconv.js";
import { buildPyramidNorm } from "../models/necks/sepc/pyramidNorm.js";
import { Sepc } from "../models/necks/sepc/sepc.js";
import { nameFromOfficial } from "../models/necks/sepc/weights.js";
import { deformConv2d } from "../ops/deformConv.js";
import * as atss from "./atss.js";
import { backwardThrough, expectInputGradients, expectLearned } from "./backward.js";
import { type Case, NotKnown, only } from "./case.js";
import * as fcos from "./fcos.js";
import * as fsaf from "./fsaf.js";
import { headForward } from "./heads.js";
import { elementwiseLosses } from "./losses.js";
import * as networks from "./networks.js";
import * as reppoints from "./reppoints.js";
import * as retinanet from "./retinanet.js";

const sigmoid = tensorOp("aten::sigmoid");
const narrow = tensorOp("aten::narrow");

/** Replays one case: computes and compares everything that it holds. */
export type Replay = (golden: Case) => void;

function geometryOf(golden: Case): Record<"stride" | "padding" | "dilation", nn.Pair> {
  return {
    stride: golden.setting<nn.Pair>("stride", 1),
    padding: golden.setting<nn.Pair>("padding", 0),
    dilation: golden.setting<nn.Pair>("dilation", 1),
  };
}

const deformConv: Replay = (golden) => {
  const [x, weight, offset] = ["x", "weight", "offset"].map((name) => golden.leaf(`in/${name}`)) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const [bias, mask] = ["in/bias", "in/mask"].map((name) => (golden.has(name) ? golden.leaf(name) : null));
  const y = deformConv2d(x, weight, offset, {
    bias,
    mask,
    ...geometryOf(golden),
    groups: golden.number("groups", 1),
    offsetGroups: golden.number("deformable_groups", 1),
  });
  golden.expect("out/y", y);
  backwardThrough(golden, [[y, "cot0"]]);
  expectInputGradients(golden);
};

/** A deformable convolution that predicts its own offsets, and in version 2 its mask. */
const dcnPack: Replay = (golden) => {
  const x = golden.leaf("in/x");
  const weight = golden.leaf("param/weight");
  const bias = golden.has("param/bias") ? golden.leaf("param/bias") : null;
  const geometry = geometryOf(golden);
  const groups = golden.number("groups", 1);
  const offsetGroups = golden.number("deformable_groups", 1);
  const [height, width] = weight.shape.slice(2) as [number, number];
  const taps = 2 * offsetGroups * height * width;
  const conv2d = tensorOp("aten::conv2d");
  const { stride, padding, dilation } = geometry;
  const [offsetWeight, offsetBias] = [
    golden.leaf("param/conv_offset.weight"),
    golden.leaf("param/conv_offset.bias"),
  ];
  const predicted = conv2d(
    x,
    offsetWeight,
    offsetBias,
    nn.pair(stride),
    nn.pair(padding),
    nn.pair(dilation),
  ) as Tensor;
  const modulated = golden.flag("v2");
  const mask = modulated ? sigmoid(narrow(predicted, 1, taps, taps / 2)) : null;
  const offset = modulated ? narrow(predicted, 1, 0, taps) : predicted;
  const y = deformConv2d(x, weight, offset, { ...geometry, bias, mask, groups, offsetGroups });
  golden.expect("out/y", y);
  backwardThrough(golden, [[y, "cot0"]]);
  expectInputGradients(golden);
  for (const name of golden.names("grad/param/"))
    golden.expect(`grad/param/${name}`, golden.tensor(`param/${name}`).grad);
};

function inputLevels(golden: Case): Tensor[] {
  return golden.sizes.map((_, i) => golden.leaf(`in/x${i}`));
}

const norm: Replay = (golden) => {
  const kinds = { ibn: "integrated", shared: "shared", independent: "independent" } as const;
  const mode = golden.text("mode");
  if (!Object.hasOwn(kinds, mode)) throw new NotKnown(`mode ${mode}`);
  const kind = kinds[mode as keyof typeof kinds];
  const net = buildPyramidNorm(kind, golden.number("C"), golden.sizes.length);
  net.loadStateDict(golden.state());
  net.train(golden.flag("train", true));
  const outputs = net.forward(inputLevels(golden));
  for (const [i, y] of outputs.entries()) golden.expect(`out/y${i}`, y);
  backwardThrough(
    golden,
    outputs.map((y, i) => [y, `cot${i}`]),
  );
  expectLearned(golden, net, (name) => name);
};

const pconv: Replay = (golden) => {
  only(golden.entry.hyper_parameters, "groups", 1, [1, 1, 1]);
  only(golden.entry.hyper_parameters, "dilation", 1, [1, 1, 1]);
  const kernels = golden.names("param/").filter((name) => /^Pconv\.\d+\.weight$/.test(name));
  if (kernels.length === 0) throw new Error("the case has no tensor param/Pconv.0.weight");
  const sides = new Set(kernels.flatMap((name) => golden.tensor(`param/${name}`).shape.slice(2)));
  if (sides.size !== 1) throw new NotKnown(`kernels of ${[...sides].join(" and ")} cells`);
  const inChannels = golden.number("C");
  const net = new PConv({
    inChannels,
    outChannels: golden.number("Co", inChannels),
    levels: golden.sizes.length,
    scaleKernel: kernels.length,
    kernelSize: [...sides][0],
    deformable: golden.flag("part_deform"),
    norm: golden.flag("iBN") ? "integrated" : "none",
  });
  net.loadStateDict(golden.state(nameFromOfficial));
  net.train(golden.flag("train", true));
  const outputs = net.forward(inputLevels(golden));
  for (const [i, y] of outputs.entries()) golden.expect(`out/y${i}`, y);
  backwardThrough(
    golden,
    outputs.map((y, i) => [y, `cot${i}`]),
  );
  expectLearned(golden, net, nameFromOfficial);
};

const DEFORM = [
  ["none", "extra"],
  ["pconvs", "all"],
] as const;

const sepc: Replay = (golden) => {
  only(golden.entry.hyper_parameters, "lc_padding", 0, 1);
  const [inPconvs, inExtra] = [golden.flag("pconv_deform"), golden.flag("lcconv_deform")];
  const net = new Sepc({
    channels: golden.number("C"),
    levels: golden.sizes.length,
    pconvs: golden.number("Pconv_num", 4),
    deform: DEFORM[Number(inPconvs) as 0 | 1][Number(inExtra) as 0 | 1],
    norm: golden.flag("iBN") ? "integrated" : "none",
    extraPadding: golden.number("lc_padding", 0) as 0 | 1,
  });
  net.loadStateDict(golden.state(nameFromOfficial));
  net.train(golden.flag("train", true));
  const outputs = net.forward(inputLevels(golden));
  for (const [i, { cls, box }] of outputs.entries()) {
    golden.expect(`out/cls${i}`, cls);
    golden.expect(`out/loc${i}`, box);
  }
  backwardThrough(
    golden,
    outputs.flatMap(({ cls, box }, i) => [[cls, `cot_cls${i}`] as const, [box, `cot_loc${i}`] as const]),
  );
  expectLearned(golden, net, nameFromOfficial);
};

/** What can be replayed, by the manifest's `kind`. */
export const KINDS: Readonly<Record<string, Replay>> = {
  deform_conv_v1: deformConv,
  deform_conv_v2: deformConv,
  dcn_pack: dcnPack,
  bn_variants: norm,
  pconv_module: pconv,
  sepc_neck: sepc,
  anchors: retinanet.anchors,
  max_iou_assign: retinanet.maxIouAssign,
  bbox_coder: retinanet.bboxCoder,
  retina_loss: retinanet.retinaLoss,
  retina_get_bboxes: retinanet.getBboxes,
  nms: retinanet.suppression,
  atss_loss: atss.loss,
  reppoints_head_forward: reppoints.headForward,
  reppoints_loss: reppoints.loss,
  reppoints_get_bboxes: reppoints.getBboxes,
  fcos_head_forward: fcos.headForward,
  fcos_loss: fcos.loss,
  fcos_get_bboxes: fcos.getBboxes,
  fsaf_parts: fsaf.parts,
  fsaf_loss: fsaf.loss,
  freeanchor_loss: retinanet.freeAnchorLoss,
  elem_losses: elementwiseLosses,
  head_forward: headForward,
  backbone: networks.backbone,
  neck: networks.neck,
  e2e_train_step: networks.trainStep,
};
