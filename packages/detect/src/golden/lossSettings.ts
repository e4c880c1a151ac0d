// Losses as a case's hyper-parameters tell them, in mmdetection 1.x's terms.
import type { Tensor } from "@sepc/engine";
import type { Losses } from "../detectors/detector.js";
import type { FocalConfig } from "../training/losses/focal.js";
import { type Case, only } from "./case.js";

interface LossConfig {
  readonly type?: string;
  readonly gamma?: number;
  readonly alpha?: number;
  readonly beta?: number;
  readonly loss_weight?: number;
}

/** @throws NotKnown for a class loss of another kind */
export function focalOf(golden: Case): FocalConfig {
  const config = golden.setting<LossConfig>("loss_cls", {});
  only(config, "type", "FocalLoss");
  return { gamma: config.gamma ?? 2, alpha: config.alpha ?? 0.25 };
}

export interface BoxLoss {
  readonly type: string;
  /** Where smooth L1 becomes straight. */
  readonly beta: number;
  readonly weight: number;
}

interface BoxLossDefaults {
  /** The hyper-parameter; "loss_bbox" unless told. */
  readonly name?: string;
  readonly type: string;
  readonly known?: readonly string[];
  /** Where the case has no such hyper-parameter; 1 unless told. */
  readonly weight?: number;
}

/** @throws NotKnown for a box loss of another kind than those known */
export function boxLossOf(golden: Case, defaults: BoxLossDefaults): BoxLoss {
  const { name = "loss_bbox", type, known = [type], weight = 1 } = defaults;
  const config = golden.setting<LossConfig | undefined>(name);
  if (config === undefined) return { type, beta: 0.11, weight };
  only(config, "type", ...known);
  return { type: config.type ?? type, beta: config.beta ?? 1 / 9, weight: config.loss_weight ?? 1 };
}

/** What a case's settings multiply a loss by, from our name of it. */
function weightOf(golden: Case, name: string): number {
  const setting = name.startsWith("loss_cls") ? "loss_cls" : name.startsWith("loss_box") ? "loss_bbox" : name;
  return golden.setting<LossConfig>(setting.replace(/\..*/, ""), {}).loss_weight ?? 1;
}

/** "loss_box.3" is "loss_bbox3", "loss_positive_bag" is "positive_bag_loss". */
const officialLoss = (name: string): string =>
  name
    .replace(".", "")
    .replace("loss_box", "loss_bbox")
    .replace(/^loss_(.*_bag)$/, "$1_loss");

/**
 * Compares losses, level by level, with mmdetection's names; returns their sum.
 * @param weighted prefix of those that have the case's weights already
 */
export function expectLosses(golden: Case, losses: Losses, weighted?: string): Tensor {
  const all = Object.entries(losses).map(([name, loss]) => {
    const weight = weighted !== undefined && name.startsWith(weighted) ? 1 : weightOf(golden, name);
    return [name, weight === 1 ? loss : loss.mul(weight)] as const;
  });
  for (const [name, loss] of all) golden.expect(`out/${officialLoss(name)}`, loss);
  const trained = all.filter(([name]) => name.startsWith("loss"));
  return trained.map(([, loss]) => loss).reduce((sum, loss) => sum.add(loss));
}
