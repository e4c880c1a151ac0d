// The convolutions of a head's two branches, in mmdetection 1.x's names.
import { nn, type Tensor } from "@sepc/engine";
import type { PyramidNormKind } from "../models/necks/sepc/pyramidNorm.js";
import { ConvStack } from "../models/necks/towers/plain.js";
import { nameFromHead } from "../models/necks/towers/weights.js";
import { expectLearned } from "./backward.js";
import { type Case, only } from "./case.js";

interface NormConfig {
  readonly type: string;
  readonly num_groups?: number;
}

function normOf(golden: Case): { readonly norm: PyramidNormKind; readonly groups?: number | undefined } {
  const config = golden.setting<NormConfig | undefined>("norm_cfg");
  if (!config) return { norm: "none" };
  only(config, "type", "BN", "GN");
  if (config.type === "GN") return { norm: "group", groups: config.num_groups };
  return { norm: golden.text("cls") === "RetinaSepBNHead" ? "independent" : "shared" };
}

/** A head of the case's own stacked convolutions, then its predictions. */
export class Branches<H extends nn.Module> extends nn.Module {
  readonly cls: ConvStack;
  readonly box: ConvStack;

  constructor(
    golden: Case,
    readonly head: H,
  ) {
    super();
    const [channels, depth] = [golden.number("C"), golden.number("stacked_convs", 0)];
    const config = { channels, depth, levels: golden.sizes.length, deformable: false, ...normOf(golden) };
    this.cls = new ConvStack(config);
    this.box = new ConvStack(config);
  }

  /** Features of both branches at each level: the case has one map for both, or after SEPC one for each. */
  features(golden: Case): (readonly [cls: Tensor, box: Tensor])[] {
    const levels = [...golden.sizes.keys()];
    const inputs = (name: string): Tensor[] => levels.map((level) => golden.leaf(`in/${name}${level}`));
    const shared = golden.has("in/x0") ? inputs("x") : null;
    const cls = this.cls.forward(shared ?? inputs("cls"));
    const box = this.box.forward(shared ?? inputs("loc"));
    return cls.map((map, level) => [map, box[level] as Tensor] as const);
  }
}

/** RetinaSepBNHead numbers the level before the layer, and repeats the convolutions that its levels share. */
const separate = (name: string): string =>
  name
    .replace(/^(\w+_convs)\.\d+\.(\d+)\.conv\./, "$1.$2.conv.")
    .replace(/^(\w+_convs)\.(\d+)\.(\d+)\.bn\./, "$1.$3.bn.$2.");

/**
 * Loads a head, runs it and compares what it learned.
 * @param rename our name of a tensor of the predictions, from mmdetection's
 */
export function replayBranches<H extends nn.Module>(
  golden: Case,
  head: H,
  rename: (official: string) => string,
  run: (net: Branches<H>) => void,
): void {
  const net = new Branches(golden, head);
  const renamed = (name: string): string => nameFromHead(separate(name)) ?? `head.${rename(name)}`;
  // mmdetection's convolutions have no bias before a normalisation; ours start at 0.
  net.loadStateDict(golden.state(renamed), { strict: false });
  net.train(golden.flag("train", true));
  run(net);
  expectLearned(golden, net, renamed);
}
