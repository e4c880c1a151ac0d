// Cases of whole parts: backbones, feature pyramids, and one training step of a detector.
import { backward, fromTypedArray, noGrad, ops, optim, type Tensor } from "@sepc/engine";
import { buildDetector, mmdetectionNames, parseDetector } from "../detectors/index.js";
import { ResNet, type ResNetConfig, type StageName } from "../models/backbones/resnet.js";
import { Fpn } from "../models/necks/fpn.js";
import { backwardThrough, expectLearned } from "./backward.js";
import { type Case, NotKnown } from "./case.js";
import { expectLosses, truthsOf } from "./retinanet.js";

type Hyper = Readonly<Record<string, unknown>>;
const hyper = <T>(golden: Case, name: string): T => golden.entry.hyper_parameters[name] as T;

/** @throws NotKnown for kernels that are modulated, or have several offsets for their channels */
function deformableStages({ dcn, stage_with_dcn: flags }: Hyper): StageName[] {
  if (dcn === undefined || dcn === null) return [];
  const { type, modulated, deformable_groups: groups } = dcn as Hyper;
  if (type === "DCNv2" || modulated === true || (groups ?? 1) !== 1)
    throw new NotKnown(`ResNet with ${JSON.stringify(dcn)}`);
  return (flags as boolean[]).flatMap((on, i) => (on ? [`c${i + 2}` as StageName] : []));
}

export function backbone(golden: Case): void {
  const args = hyper<Hyper>(golden, "args");
  const groups = (args.groups as number | undefined) ?? 1;
  const net = new ResNet({
    depth: args.depth as 50,
    width: golden.number("base"),
    blocks: hyper<[number, number, number, number] | null>(golden, "blocks") ?? undefined,
    groups,
    // mmdetection scales a ResNeXt's groups by 64, whatever the width of the stem.
    widthPerGroup: groups > 1 ? ((args.base_width as number) * golden.number("base")) / 64 : undefined,
    style: args.style as "caffe",
    deformableStages: deformableStages(args),
    frozenStages: ((args.frozen_stages as number) + 1) as ResNetConfig["frozenStages"],
    normEval: args.norm_eval as boolean,
  });
  net.loadStateDict(golden.state());
  net.train();
  const outputs = net.forward(golden.leaf("in/img"));
  for (const [i, map] of outputs.entries()) golden.expect(`out/c${i + 2}`, map);
  backwardThrough(outputs.map((map, i) => [map, golden.tensor(`in/cot${i}`)]));
  expectLearned(golden, net, (name) => name);
}

export function neck(golden: Case): void {
  if (golden.text("cls") !== "FPN") throw new NotKnown(golden.text("cls"));
  const args = hyper<Hyper>(golden, "args");
  const start = (args.start_level as number | undefined) ?? 0;
  const channels = (args.in_channels as number[]).slice(start);
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
  const shapes = hyper<number[][]>(golden, "shapes");
  const inputs = shapes.map((_, i) => golden.leaf(`in/x${i}`));
  const outputs = net.forward(inputs.slice(start));
  const names = golden.names("out/");
  for (const [i, map] of outputs.entries())
    golden.expect(`out/${names.includes(`y${i}`) ? "y" : "p"}${i}`, map);
  backwardThrough(outputs.map((map, i) => [map, golden.tensor(`in/cot${i}`)]));
  expectLearned(golden, net, rename);
}

const towerKind = (sepc: Hyper): string => {
  if (sepc.pconv_deform === true) return "sepc";
  return sepc.lcconv_deform === true ? "sepc-lite" : "pconv";
};

/** The picture made larger by repeating its pixels. */
function enlarged(image: Tensor, times: number): Tensor {
  return ops.interpolate(image, { scaleFactor: [times, times], mode: "nearest" });
}

const DETECTOR_OF: Readonly<Record<string, string>> = {
  SepcRetinaHead: "retinanet",
  SepcFreeAnchorRetinaHead: "freeanchor",
  FSAFHead: "fsaf",
};

export function trainStep(golden: Case): void {
  const detector = DETECTOR_OF[golden.text("cls")];
  if (detector === undefined) throw new NotKnown(golden.text("cls"));
  const sepc = hyper<Hyper>(golden, "sepc");
  const config = parseDetector({
    detector,
    backbone: { depth: 18, width: golden.number("base"), frozenStages: 2, normEval: true },
    neck: { channels: golden.number("C") },
    tower: {
      kind: towerKind(sepc),
      depth: golden.number("Pconv_num"),
      norm: sepc.iBN === true ? "integrated" : "none",
      extraPadding: golden.number("lc_padding"),
    },
    legacyBoxes: true,
  });
  const rename = mmdetectionNames(config);
  if (rename === null) throw new NotKnown(golden.text("cls"));
  const net = buildDetector(config, golden.number("num_classes") - 1);
  net.loadStateDict(golden.state(rename));
  net.train();
  const trained = net.parameters().filter((parameter) => parameter.requiresGrad);
  const optimizer = new optim.SGD(trained, { lr: golden.number("lr"), momentum: 0.9, weightDecay: 1e-4 });
  const raw = net.forward(enlarged(golden.tensor("in/img"), golden.number("img_up")));
  const total = expectLosses(golden, net.losses(raw, truthsOf(golden)));
  golden.expect("out/total", total);
  backward(total);
  const parameters = new Map(net.namedParameters());
  for (const name of golden.names("grad/param/")) {
    const ours = rename(name);
    golden.expect(`grad/param/${name}`, parameters.get(ours ?? "")?.grad?.clone() ?? null);
  }
  const norm = optim.clipGradNorm_(trained, golden.number("max_norm"));
  golden.expect("out/grad_norm", fromTypedArray(Float32Array.of(norm), []));
  noGrad(() => optimizer.step());
  const state = net.stateDict();
  for (const name of golden.names("after/param/"))
    golden.expect(`after/param/${name}`, state.get(rename(name) ?? "") ?? null);
  optimizer.free();
}
