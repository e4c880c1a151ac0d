// Losses. Reduced to their mean unless told; `weight` multiplies elements or classes.
import type { Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { choose, optionsOf } from "./options.js";

export type Reduction = "mean" | "sum" | "none";

export interface LossOptions {
  readonly reduction?: Reduction | undefined;
}
const reductions = { none: 0, mean: 1, sum: 2 } as const;
const reduce = (name: string, reduction: Reduction = "mean"): number =>
  choose(name, "reduction", reductions, reduction);

export interface BinaryCrossEntropyOptions extends LossOptions {
  /** Factor on each element; broadcasts. */
  readonly weight?: Tensor | null | undefined;
}
const bceOptions = optionsOf("binaryCrossEntropy", {
  reduction: "mean",
  weight: null,
} as BinaryCrossEntropyOptions);
const bceOp = use("binary_cross_entropy");
/** -(t · log p + (1 - t) · log(1 - p)) of probabilities; logs stop at -100. Shapes equal. */
export function binaryCrossEntropy(p: Tensor, target: Tensor, options?: BinaryCrossEntropyOptions): Tensor {
  const { reduction, weight } = bceOptions(options);
  return bceOp(p, target, weight, reduce("binaryCrossEntropy", reduction));
}

export interface LogitsOptions extends BinaryCrossEntropyOptions {
  /** Factor on positive targets, for each class; broadcasts. */
  readonly posWeight?: Tensor | null | undefined;
}
const logitsOptions = optionsOf("binaryCrossEntropyWithLogits", {
  reduction: "mean",
  weight: null,
  posWeight: null,
} as LogitsOptions);
const logitsOp = use("binary_cross_entropy_with_logits");
/** {@link binaryCrossEntropy} of sigmoid(x), exact for large |x|. */
export function binaryCrossEntropyWithLogits(x: Tensor, target: Tensor, options?: LogitsOptions): Tensor {
  const { reduction, weight, posWeight } = logitsOptions(options);
  return logitsOp(x, target, weight, posWeight, reduce("binaryCrossEntropyWithLogits", reduction));
}

export interface ClassLossOptions extends LossOptions {
  /** [K], factor on each class; the mean is weighted. */
  readonly weight?: Tensor | null | undefined;
  /** Targets of this class do not count; -100 unless told. */
  readonly ignoreIndex?: number | undefined;
}
export interface CrossEntropyOptions extends ClassLossOptions {
  /** Share of the target spread evenly over the classes; 0 unless told. */
  readonly labelSmoothing?: number | undefined;
}
const crossEntropyOptions = optionsOf("crossEntropy", {
  reduction: "mean",
  weight: null,
  ignoreIndex: -100,
  labelSmoothing: 0,
} as CrossEntropyOptions);
const crossEntropyOp = use("cross_entropy_loss");
/** -log softmax of the target's class: x [N, K, ...], target int64 [N, ...], or probabilities of x's shape. */
export function crossEntropy(x: Tensor, target: Tensor, options?: CrossEntropyOptions): Tensor {
  const { reduction, weight, ignoreIndex, labelSmoothing } = crossEntropyOptions(options);
  return crossEntropyOp(x, target, weight, reduce("crossEntropy", reduction), ignoreIndex, labelSmoothing);
}

const nllOptions = optionsOf("nll", {
  reduction: "mean",
  weight: null,
  ignoreIndex: -100,
} as ClassLossOptions);
const nllOp = use("nll_loss_nd");
/** -x of the target's class: log-probabilities [N, K, ...], target int64 [N, ...]. */
export function nll(x: Tensor, target: Tensor, options?: ClassLossOptions): Tensor {
  const { reduction, weight, ignoreIndex } = nllOptions(options);
  return nllOp(x, target, weight, reduce("nll", reduction), ignoreIndex);
}

const l1Options = optionsOf("l1", { reduction: "mean" } as LossOptions);
const l1Op = use("l1_loss");
/** |x - t| */
export function l1(x: Tensor, target: Tensor, options?: LossOptions): Tensor {
  return l1Op(x, target, reduce("l1", l1Options(options).reduction));
}

const mseOptions = optionsOf("mse", { reduction: "mean" } as LossOptions);
const mseOp = use("mse_loss");
/** (x - t)² */
export function mse(x: Tensor, target: Tensor, options?: LossOptions): Tensor {
  return mseOp(x, target, reduce("mse", mseOptions(options).reduction));
}

export interface SmoothL1Options extends LossOptions {
  /** Where the parabola meets the lines; 1 unless told, 0 is {@link l1}. */
  readonly beta?: number | undefined;
}
const smoothOptions = optionsOf("smoothL1", { reduction: "mean", beta: 1 } as SmoothL1Options);
const smoothOp = use("smooth_l1_loss");
/** d² / (2 · beta) where d = |x - t| is below beta, d - beta / 2 elsewhere (Fast R-CNN, Section 2.3). */
export function smoothL1(x: Tensor, target: Tensor, options?: SmoothL1Options): Tensor {
  const { reduction, beta } = smoothOptions(options);
  return smoothOp(x, target, reduce("smoothL1", reduction), beta);
}

export interface HuberOptions extends LossOptions {
  readonly delta?: number | undefined;
}
const huberOptions = optionsOf("huber", { reduction: "mean", delta: 1 } as HuberOptions);
const huberOp = use("huber_loss");
/** d² / 2 where d = |x - t| is below delta, delta · (d - delta / 2) elsewhere. */
export function huber(x: Tensor, target: Tensor, options?: HuberOptions): Tensor {
  const { reduction, delta } = huberOptions(options);
  return huberOp(x, target, reduce("huber", reduction), delta);
}

export interface KlDivOptions extends LossOptions {
  /** The target holds logarithms too. */
  readonly logTarget?: boolean | undefined;
}
const klOptions = optionsOf("klDiv", { reduction: "mean", logTarget: false } as KlDivOptions);
const klOp = use("kl_div");
/** t · (log t - x), x log-probabilities; "mean" is over elements. */
export function klDiv(x: Tensor, target: Tensor, options?: KlDivOptions): Tensor {
  const { reduction, logTarget } = klOptions(options);
  return klOp(x, target, reduce("klDiv", reduction), { log_target: logTarget });
}
