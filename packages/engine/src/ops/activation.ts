// Activations, element by element except softmax.
import type { DType } from "../dtype.js";
import type { Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { choose, optionsOf } from "./options.js";

type Unary = (x: Tensor) => Tensor;

/** max(x, 0) */
export const relu: Unary = use("relu");
export const relu_: Unary = use("relu_");
/** min(max(x, 0), 6) */
export const relu6: Unary = use("relu6");
/** 1 / (1 + e⁻ˣ) */
export const sigmoid: Unary = use("sigmoid");
export const sigmoid_: Unary = use("sigmoid_");
/** log(sigmoid(x)), exact for large |x|. */
export const logSigmoid: Unary = use("log_sigmoid");
export const tanh: Unary = use("tanh");
export const tanh_: Unary = use("tanh_");
/** x · sigmoid(x) */
export const silu: Unary = use("silu");
export const silu_: Unary = use("silu_");
/** x · tanh(softplus(x)) (Misra 2019). */
export const mish: Unary = use("mish");
/** relu6(x + 3) / 6 */
export const hardsigmoid: Unary = use("hardsigmoid");
/** x · relu6(x + 3) / 6 */
export const hardswish: Unary = use("hardswish");

const logitOp = use("logit");
/** log(x / (1 - x)), the inverse of sigmoid; with `eps`, x is limited to [eps, 1 - eps] first. */
export function logit(x: Tensor, eps: number | null = null): Tensor {
  return logitOp(x, eps);
}

const leakyReluOp = use("leaky_relu");
const leakyReluInPlace = use("leaky_relu_");
/** x above 0, slope · x below. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  return leakyReluOp(x, slope);
}
export function leakyRelu_(x: Tensor, slope = 0.01): Tensor {
  return leakyReluInPlace(x, slope);
}

const eluOp = use("elu");
/** x above 0, alpha · (eˣ - 1) below. */
export function elu(x: Tensor, alpha = 1): Tensor {
  return eluOp(x, alpha);
}

const geluOp = use("gelu");
const approximations = { none: "none", tanh: "tanh" } as const;
/** x · Φ(x), exactly or by the tanh formula (Hendrycks and Gimpel 2016). */
export function gelu(x: Tensor, approximate: "none" | "tanh" = "none"): Tensor {
  return geluOp(x, { approximate: choose("gelu", "approximate", approximations, approximate) });
}

const hardtanhOp = use("hardtanh");
/** x limited to [min, max]. */
export function hardtanh(x: Tensor, min = -1, max = 1): Tensor {
  return hardtanhOp(x, min, max);
}

const softplusOp = use("softplus");
/** log(1 + e^(beta · x)) / beta */
export function softplus(x: Tensor, beta = 1): Tensor {
  return softplusOp(x, beta);
}

const softmaxOp = use("softmax.int");
const logSoftmaxOp = use("log_softmax.int");
/** eˣ / Σ eˣ along `dim`; converted to `dtype` first where told. */
export function softmax(x: Tensor, dim: number, dtype: DType | null = null): Tensor {
  return softmaxOp(x, dim, dtype);
}
/** log(softmax(x)), exact for large |x|. */
export function logSoftmax(x: Tensor, dim: number, dtype: DType | null = null): Tensor {
  return logSoftmaxOp(x, dim, dtype);
}

const gluOp = use("glu");
/** The first half along `dim` times the sigmoid of the second. */
export function glu(x: Tensor, dim = -1): Tensor {
  return gluOp(x, dim);
}

export interface DropoutOptions {
  /** Probability of zero; 0.5 unless told. */
  readonly p?: number | undefined;
  /** Outside training x comes back as it is; true unless told. */
  readonly training?: boolean | undefined;
}
const dropoutOptions = optionsOf("dropout", { p: 0.5, training: true } as DropoutOptions);
const dropoutOp = use("dropout");
/** Elements zeroed at random and the rest scaled by 1 / (1 - p). */
export function dropout(x: Tensor, options?: DropoutOptions): Tensor {
  const { p = 0.5, training = true } = dropoutOptions(options);
  return dropoutOp(x, p, training);
}
