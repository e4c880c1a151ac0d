// Cases of RetinaNet's head with towers of its own, in mmdetection 1.x's names.

import { nn, type Tensor } from "@sepc/engine";
import { DensePrediction, type LevelOutput } from "../models/heads/dense.js";
import { buildTower, type Tower } from "../models/necks/towers/index.js";
import { nameFromHead } from "../models/necks/towers/weights.js";
import { expectLearned } from "./backward.js";
import type { Case } from "./case.js";
import { expectHeadMaps } from "./headMaps.js";
import { anchorsOf, sepcRetinaHead } from "./retinanet.js";

class Head extends nn.Module {
  readonly tower: Tower;
  readonly head: DensePrediction;

  constructor(golden: Case, norm: "none" | "shared" | "independent") {
    super();
    const channels = golden.number("C");
    const { ratios, scales } = anchorsOf(golden);
    const tower = { kind: "plain", depth: golden.number("stacked_convs"), norm } as const;
    this.tower = buildTower(tower, { channels, levels: golden.sizes.length });
    this.head = new DensePrediction({
      channels,
      anchorsPerCell: ratios.length * scales.length,
      classes: golden.number("num_classes") - 1,
    });
  }

  forward(levels: readonly Tensor[]): LevelOutput[] {
    const { cls, box } = this.tower.forward(levels);
    return cls.map((map, level) => this.head.forward(map, box[level] as Tensor));
  }
}

/** RetinaSepBNHead numbers the level before the layer, and repeats the convolutions that its levels share. */
const separate = (name: string): string =>
  name
    .replace(/^(\w+_convs)\.\d+\.(\d+)\.conv\./, "$1.$2.conv.")
    .replace(/^(\w+_convs)\.(\d+)\.(\d+)\.bn\./, "$1.$3.bn.$2.");

function rename(name: string): string | null {
  const tower = nameFromHead(separate(name));
  if (tower !== null) return `tower.${tower}`;
  return name.replace(/^retina_cls\./, "head.cls.").replace(/^retina_reg\./, "head.box.");
}

function normOf(golden: Case): "none" | "shared" | "independent" {
  if (golden.text("cls") === "RetinaSepBNHead") return "independent";
  return golden.entry.hyper_parameters.norm_cfg === undefined ? "none" : "shared";
}

function towerHead(golden: Case): void {
  const net = new Head(golden, normOf(golden));
  // mmdetection's convolutions have no bias before a normalisation; ours start at 0.
  net.loadStateDict(golden.state(rename), { strict: false });
  const outputs = net.forward(golden.sizes.map((_, i) => golden.leaf(`in/x${i}`)));
  expectHeadMaps(golden, outputs);
  expectLearned(golden, net, rename);
}

/** A head alone: with towers, or after SEPC its predictions only. */
export function headForward(golden: Case): void {
  if (["RetinaHead", "RetinaSepBNHead"].includes(golden.text("cls"))) towerHead(golden);
  else sepcRetinaHead(golden);
}
