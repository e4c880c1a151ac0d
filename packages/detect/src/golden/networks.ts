// Cases of whole parts: backbones, feature pyramids, and one training step of a detector.
import { isDeepStrictEqual } from "node:util";
import { backward, fromTypedArray, noGrad, ops, optim, type Tensor } from "@sepc/engine";
import { buildDetector, type DetectorConfig, mmdetectionNames, parseDetector } from "../detectors/index.js";
import { stridesOf } from "../detectors/schema.js";
import { ResNet, type ResNetConfig, type StageName } from "../models/backbones/resnet.js";
import { Fpn } from "../models/necks/fpn.js";
import { backwardThrough, expectLearned } from "./backward.js";
import { type Case, NotKnown, only } from "./case.js";
import { trainingOf as fsafTrainingOf } from "./fsaf.js";
import { boxLossOf, expectLosses } from "./lossSettings.js";
import { coderOf, trainingOf as retinaTrainingOf, truthsOf } from "./retinanet.js";

type Hyper = Readonly<Record<string, unknown>>;

/** @throws NotKnown for kernels that are modulated, or have several offsets for their channels */
function deformableStages({ dcn, stage_with_dcn: flags }: Hyper): StageName[] {
  if (dcn === undefined || dcn === null) return [];
  only(dcn, "type", "DCN");
  only(dcn, "modulated", false);
  only(dcn, "deformable_groups", 1);
  // mmdetection then has plain kernels in all blocks of the stage.
  if ((dcn as Hyper).fallback_on_stride === true) return [];
  return (flags as boolean[]).flatMap((on, i) => (on ? [`c${i + 2}` as StageName] : []));
}

type Blocks = readonly [number, number, number, number];

/** Depths are of blocks of two kinds; any number of blocks of a kind is another depth. */
function depthOf(depth: number, blocks: Blocks | null): Pick<ResNetConfig, "depth" | "blocks"> {
  if (depth === 152) return { depth: 101, blocks: blocks ?? [3, 8, 36, 3] };
  return { depth: depth as 50, blocks: blocks ?? undefined };
}

export function backbone(golden: Case): void {
  const args = golden.setting<Hyper>("args");
  only(golden.entry.hyper_parameters, "cls", "ResNet", "ResNeXt");
  only(args, "depth", 18, 34, 50, 101, 152);
  only(args, "num_stages", 4);
  only(args, "in_channels", 3);
  only(args, "strides", [1, 2, 2, 2]);
  only(args, "dilations", [1, 1, 1, 1]);
  only((args.norm_cfg as Hyper | undefined) ?? {}, "type", "BN");
  for (const name of ["conv_cfg", "gcb", "gen_attention"]) only(args, name);
  const groups = (args.groups as number | undefined) ?? 1;
  const net = new ResNet({
    ...depthOf(args.depth as number, golden.setting<Blocks | null>("blocks", null)),
    width: golden.number("base", 64),
    groups,
    // mmdetection scales a ResNeXt's groups by 64, whatever the width of the stem.
    widthPerGroup:
      groups > 1
        ? (((args.base_width as number | undefined) ?? 4) * golden.number("base", 64)) / 64
        : undefined,
    style: args.style as "caffe" | undefined,
    deformableStages: deformableStages(args),
    frozenStages: (((args.frozen_stages as number | undefined) ?? -1) + 1) as ResNetConfig["frozenStages"],
    normEval: (args.norm_eval as boolean | undefined) ?? true,
  });
  net.loadStateDict(golden.state());
  net.train(golden.flag("train", true));
  const outputs = net.forward(golden.leaf("in/img"));
  const stages = (args.out_indices as number[] | undefined) ?? [0, 1, 2, 3];
  // A case may name its maps by stage, or count those that it has.
  const byStage = golden.has(`out/c${2 + Math.max(...stages)}`);
  const maps = stages.map((stage) => outputs[stage] as Tensor);
  for (const [i, map] of maps.entries())
    golden.expect(`out/c${2 + (byStage ? (stages[i] as number) : i)}`, map);
  backwardThrough(
    golden,
    maps.map((map, i) => [map, `cot${i}`]),
  );
  expectLearned(golden, net, (name) => name);
}

export function neck(golden: Case): void {
  if (golden.text("cls") !== "FPN") throw new NotKnown(golden.text("cls"));
  const args = golden.setting<Hyper>("args");
  for (const name of ["norm_cfg", "conv_cfg", "act_cfg", "activation"]) only(args, name);
  const start = (args.start_level as number | undefined) ?? 0;
  const end = (args.end_level as number | undefined) ?? -1;
  const channels = (args.in_channels as number[]).slice(start, end === -1 ? undefined : end);
  const outer = args.extra_convs_on_inputs === false ? "p5" : "c5";
  const net = new Fpn({
    inLevels: channels.map((count, i) => ({
      name: `c${start + i + 2}`,
      channels: count,
      stride: 4 * 2 ** (start + i),
    })),
    channels: args.out_channels as number,
    levels: args.num_outs as number,
    extraFrom: args.add_extra_convs === true ? outer : "subsample",
    reluBetweenExtra: args.relu_before_extra_convs === true,
  });
  const rename = (name: string): string => name.replace(".conv.", ".");
  net.loadStateDict(golden.state(rename));
  const inputs = golden.setting<number[][]>("shapes").map((_, i) => golden.leaf(`in/x${i}`));
  const outputs = net.forward(inputs.slice(start, start + channels.length));
  for (const [i, map] of outputs.entries())
    golden.expect(`out/${golden.has(`out/y${i}`) ? "y" : "p"}${i}`, map);
  backwardThrough(
    golden,
    outputs.map((map, i) => [map, `cot${i}`]),
  );
  expectLearned(golden, net, rename);
}

/** @throws NotKnown where only the pyramid convolutions deform */
function towerOf(golden: Case): Hyper {
  const sepc = golden.setting<Hyper | undefined>("sepc");
  if (sepc === undefined) {
    only(golden.entry.hyper_parameters, "norm_cfg");
    return { kind: "plain", depth: golden.number("stacked_convs") };
  }
  if (sepc.pconv_deform === true) only(sepc, "lcconv_deform", true);
  const deformed = sepc.lcconv_deform === true ? "sepc-lite" : "pconv";
  return {
    kind: sepc.pconv_deform === true ? "sepc" : deformed,
    depth: golden.number("Pconv_num", 4),
    norm: sepc.iBN === true ? "integrated" : "none",
    extraPadding: golden.number("lc_padding", 0),
  };
}

const anchorSettings = (golden: Case): Hyper => ({
  base: golden.number("octave_base_scale"),
  scalesPerOctave: golden.number("scales_per_octave"),
  ratios: golden.setting<number[]>("anchor_ratios"),
});

function coderSettings(golden: Case): Hyper {
  const { means, stds } = coderOf(golden);
  return { means, stds };
}

/** What the case says of a detector's training, in our configuration's terms. */
const TRAINING: Readonly<Record<DetectorConfig["detector"], ((golden: Case) => Hyper) | undefined>> = {
  retinanet: (golden) => {
    const { assigner, focal, beta, allowedBorder, positiveWeight } = retinaTrainingOf(golden);
    only({ pos_weight: positiveWeight }, "pos_weight", 1);
    const settings = { anchors: anchorSettings(golden), coder: coderSettings(golden) };
    return { ...settings, assigner, focal, beta, allowedBorder };
  },
  freeanchor: (golden) => {
    const { beta, weight: boxWeight } = boxLossOf(golden, { type: "SmoothL1Loss", weight: 0.75 });
    return {
      anchors: anchorSettings(golden),
      coder: coderSettings(golden),
      bagSize: golden.number("pre_anchor_topk", 50),
      boxThreshold: golden.number("bbox_thr", 0.6),
      gamma: golden.number("gamma", 2),
      alpha: golden.number("alpha", 0.5),
      beta,
      boxWeight,
    };
  },
  fsaf: (golden) => {
    const { assigner, focal } = fsafTrainingOf(golden);
    only(golden.entry.hyper_parameters, "octave_base_scale", 1);
    only(golden.entry.hyper_parameters, "anchor_ratios", [1]);
    return { assigner, focal };
  },
  fcos: undefined,
  atss: undefined,
  reppoints: undefined,
};

function detectorOf(golden: Case): DetectorConfig {
  const detector = DETECTOR_OF[golden.text("cls")];
  const training = detector && TRAINING[detector];
  if (training === undefined) throw new NotKnown(golden.text("cls"));
  const strides = golden.setting<number[]>("anchor_strides");
  if (!isDeepStrictEqual(strides, stridesOf(strides.length))) throw new NotKnown(`strides ${strides}`);
  only(golden.entry.hyper_parameters, "blocks");
  return parseDetector({
    detector,
    backbone: {
      depth: golden.number("depth", 18),
      width: golden.number("base", 64),
      frozenStages: 2,
      normEval: true,
    },
    neck: { channels: golden.number("C"), levels: strides.length },
    tower: towerOf(golden),
    legacyBoxes: true,
    ...training(golden),
  });
}

/** The picture made larger by repeating its pixels. */
function enlarged(image: Tensor, times: number): Tensor {
  return ops.interpolate(image, { scaleFactor: [times, times], mode: "nearest" });
}

const DETECTOR_OF: Readonly<Record<string, DetectorConfig["detector"]>> = {
  RetinaHead: "retinanet",
  SepcRetinaHead: "retinanet",
  FreeAnchorRetinaHead: "freeanchor",
  SepcFreeAnchorRetinaHead: "freeanchor",
  FSAFHead: "fsaf",
};

export function trainStep(golden: Case): void {
  const config = detectorOf(golden);
  const rename = mmdetectionNames(config);
  if (rename === null) throw new NotKnown(golden.text("cls"));
  const net = buildDetector(config, golden.number("num_classes") - 1);
  net.loadStateDict(golden.state(rename));
  net.train();
  const trained = net.parameters().filter((parameter) => parameter.requiresGrad);
  const optimizer = new optim.SGD(trained, {
    lr: golden.number("lr"),
    momentum: golden.number("momentum", 0.9),
    weightDecay: golden.number("weight_decay", 1e-4),
  });
  const raw = net.forward(enlarged(golden.tensor("in/img"), golden.number("img_up", 1)));
  const total = expectLosses(golden, net.losses(raw, truthsOf(golden)));
  golden.expect("out/total", total);
  backward(total);
  const parameters = new Map(net.namedParameters());
  for (const name of golden.names("grad/param/")) {
    const ours = rename(name);
    golden.expect(`grad/param/${name}`, parameters.get(ours ?? "")?.grad?.clone() ?? null);
  }
  const norm = optim.clipGradNorm_(trained, golden.number("max_norm", Number.POSITIVE_INFINITY));
  golden.expect("out/grad_norm", fromTypedArray(Float32Array.of(norm), []));
  noGrad(() => optimizer.step());
  const state = net.stateDict();
  for (const name of golden.names("after/param/"))
    golden.expect(`after/param/${name}`, state.get(rename(name) ?? "") ?? null);
  optimizer.free();
}
