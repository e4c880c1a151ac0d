import { type Tensor, tensorOp } from "@sepc/engine";
import { PConv } from "../models/necks/sepc/pconv.js";
import { buildPyramidNorm } from "../models/necks/sepc/pyramidNorm.js";
import { Sepc } from "../models/necks/sepc/sepc.js";
import { nameFromOfficial } from "../models/necks/sepc/weights.js";
import { deformConv2d } from "../ops/deformConv.js";
import * as atss from "./atss.js";
import { backwardThrough, expectLearned } from "./backward.js";
import type { Case } from "./case.js";
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

const deformConv: Replay = (golden) => {
  const [x, weight, bias, offset] = ["x", "weight", "bias", "offset"].map((name) =>
    golden.leaf(`in/${name}`),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const mask = golden.has("in/mask") ? golden.leaf("in/mask") : null;
  const y = deformConv2d(x, weight, offset, {
    bias,
    mask,
    stride: golden.number("stride"),
    padding: golden.number("padding"),
    dilation: golden.number("dilation"),
    groups: golden.number("groups"),
    offsetGroups: golden.number("deformable_groups"),
  });
  golden.expect("out/y", y);
  backwardThrough([[y, golden.tensor("in/cot0")]]);
  for (const name of golden.names("grad/")) golden.expect(`grad/${name}`, golden.tensor(`in/${name}`).grad);
};

/** A deformable convolution that predicts its own offsets, and in version 2 its mask. */
const dcnPack: Replay = (golden) => {
  const x = golden.leaf("in/x");
  const weight = golden.leaf("param/weight");
  const bias = golden.has("param/bias") ? golden.leaf("param/bias") : null;
  const geometry = {
    stride: golden.number("stride"),
    padding: golden.number("padding"),
    dilation: golden.number("dilation"),
  };
  const groups = golden.number("groups");
  const offsetGroups = golden.number("deformable_groups");
  const taps = 2 * offsetGroups * golden.number("k") ** 2;
  const conv2d = tensorOp("aten::conv2d");
  const { stride, padding, dilation } = geometry;
  const [offsetWeight, offsetBias] = [
    golden.leaf("param/conv_offset.weight"),
    golden.leaf("param/conv_offset.bias"),
  ];
  const predicted = conv2d(x, offsetWeight, offsetBias, stride, padding, dilation);
  const modulated = golden.flag("v2");
  const mask = modulated ? sigmoid(narrow(predicted, 1, taps, taps / 2)) : null;
  const offset = modulated ? narrow(predicted, 1, 0, taps) : predicted;
  const y = deformConv2d(x, weight, offset, { ...geometry, bias, mask, groups, offsetGroups });
  golden.expect("out/y", y);
  backwardThrough([[y, golden.tensor("in/cot0")]]);
  golden.expect("grad/in/x", x.grad);
  for (const name of golden.names("grad/param/"))
    golden.expect(`grad/param/${name}`, golden.tensor(`param/${name}`).grad);
};

function inputLevels(golden: Case): Tensor[] {
  return golden.sizes.map((_, i) => golden.leaf(`in/x${i}`));
}

const norm: Replay = (golden) => {
  const kind = { ibn: "integrated", shared: "shared", independent: "independent" }[golden.text("mode")];
  if (kind === undefined) throw new Error(`unknown mode ${golden.text("mode")}`);
  const net = buildPyramidNorm(kind as "shared", golden.number("C"), golden.sizes.length);
  net.loadStateDict(golden.state());
  net.train(golden.flag("train"));
  const outputs = net.forward(inputLevels(golden));
  for (const [i, y] of outputs.entries()) golden.expect(`out/y${i}`, y);
  backwardThrough(outputs.map((y, i) => [y, golden.tensor(`in/cot${i}`)]));
  expectLearned(golden, net, (name) => name);
};

const pconv: Replay = (golden) => {
  const net = new PConv({
    inChannels: golden.number("C"),
    outChannels: golden.number("Co"),
    levels: golden.sizes.length,
    deformable: golden.flag("part_deform"),
    norm: golden.flag("iBN") ? "integrated" : "none",
  });
  net.loadStateDict(golden.state(nameFromOfficial));
  net.train(golden.flag("train"));
  const outputs = net.forward(inputLevels(golden));
  for (const [i, y] of outputs.entries()) golden.expect(`out/y${i}`, y);
  backwardThrough(outputs.map((y, i) => [y, golden.tensor(`in/cot${i}`)]));
  expectLearned(golden, net, nameFromOfficial);
};

const sepc: Replay = (golden) => {
  const net = new Sepc({
    channels: golden.number("C"),
    levels: golden.sizes.length,
    pconvs: golden.number("Pconv_num"),
    deform: golden.flag("pconv_deform") ? "all" : golden.flag("lcconv_deform") ? "extra" : "none",
    norm: golden.flag("iBN") ? "integrated" : "none",
    extraPadding: golden.number("lc_padding") as 0 | 1,
  });
  net.loadStateDict(golden.state(nameFromOfficial));
  net.train(golden.flag("train"));
  const outputs = net.forward(inputLevels(golden));
  for (const [i, { cls, box }] of outputs.entries()) {
    golden.expect(`out/cls${i}`, cls);
    golden.expect(`out/loc${i}`, box);
  }
  backwardThrough(
    outputs.flatMap(({ cls, box }, i) => [
      [cls, golden.tensor(`in/cot_cls${i}`)] as const,
      [box, golden.tensor(`in/cot_loc${i}`)] as const,
    ]),
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
