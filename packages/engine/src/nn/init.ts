import { noGrad } from "../autograd.js";
import { type GeneratorHandle, op } from "../door.js";
import { check } from "../errors.js";
import type { Tensor } from "../tensor.js";

const normalOp = op("aten::normal_");
const uniformOp = op("aten::uniform_");
const fillOp = op("aten::fill_.Scalar");

export interface InitOptions {
  /** Stream to draw from; the default stream unless told. */
  readonly generator?: GeneratorHandle | undefined;
}

export interface KaimingOptions extends InitOptions {
  /** Keep the variance of the forward pass (fan in) or of gradients (fan out). */
  readonly mode?: "fanIn" | "fanOut" | undefined;
  readonly nonlinearity?: "relu" | "leakyRelu" | "linear" | undefined;
  /** Slope of the leaky ReLU. */
  readonly slope?: number | undefined;
}

/** N(mean, deviation²), in place. */
export function normal_(tensor: Tensor, mean = 0, deviation = 1, options: InitOptions = {}): Tensor {
  return noGrad(() => normalOp(tensor, mean, deviation, { generator: options.generator ?? null })) as Tensor;
}

/** Uniform in [low, high), in place. */
export function uniform_(tensor: Tensor, low = 0, high = 1, options: InitOptions = {}): Tensor {
  return noGrad(() => uniformOp(tensor, low, high, { generator: options.generator ?? null })) as Tensor;
}

export function constant_(tensor: Tensor, value: number): Tensor {
  return noGrad(() => fillOp(tensor, value)) as Tensor;
}

/** Inputs and outputs of one unit of a weight [O, I, ...kernel]; `what` wants to know. */
function fans(what: string, weight: Tensor): { in: number; out: number } {
  const [outputs, inputs, ...kernel] = weight.shape;
  check(
    outputs !== undefined && inputs !== undefined,
    () => `${what}: expected a weight of two or more dimensions, got [${weight.shape}]`,
  );
  const field = kernel.reduce((product, size) => product * size, 1);
  return { in: inputs * field, out: outputs * field };
}

const gains = ["relu", "leakyRelu", "linear"];

function gain(what: string, options: KaimingOptions): number {
  const { nonlinearity = "leakyRelu", slope = 0 } = options;
  check(
    gains.includes(nonlinearity),
    () => `${what}: expected nonlinearity ${gains.join(", ")}, got ${nonlinearity}`,
  );
  if (nonlinearity === "linear") return 1;
  return nonlinearity === "relu" ? Math.SQRT2 : Math.sqrt(2 / (1 + slope * slope));
}

function kaimingDeviation(what: string, weight: Tensor, options: KaimingOptions): number {
  const { mode = "fanIn" } = options;
  check(mode === "fanIn" || mode === "fanOut", () => `${what}: expected mode fanIn or fanOut, got ${mode}`);
  const fan = fans(what, weight);
  return gain(what, options) / Math.sqrt(mode === "fanIn" ? fan.in : fan.out);
}

/** He et al. 2015, normal. */
export function kaimingNormal_(weight: Tensor, options: KaimingOptions = {}): Tensor {
  return normal_(weight, 0, kaimingDeviation("kaimingNormal_", weight, options), options);
}

/** He et al. 2015, uniform. */
export function kaimingUniform_(weight: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingDeviation("kaimingUniform_", weight, options);
  return uniform_(weight, -bound, bound, options);
}

/** Glorot and Bengio 2010, normal. */
export function xavierNormal_(weight: Tensor, options: InitOptions = {}): Tensor {
  const fan = fans("xavierNormal_", weight);
  return normal_(weight, 0, Math.sqrt(2 / (fan.in + fan.out)), options);
}

/** Glorot and Bengio 2010, uniform. */
export function xavierUniform_(weight: Tensor, options: InitOptions = {}): Tensor {
  const fan = fans("xavierUniform_", weight);
  const bound = Math.sqrt(6 / (fan.in + fan.out));
  return uniform_(weight, -bound, bound, options);
}

/** The bias with which a sigmoid starts at `probability` (focal loss, Lin et al. 2017, section 4.1). */
export function biasByPriorProbability_(bias: Tensor, probability = 0.01): Tensor {
  check(
    probability > 0 && probability < 1,
    () => `biasByPriorProbability_: expected a probability between 0 and 1, got ${probability}`,
  );
  return constant_(bias, -Math.log((1 - probability) / probability));
}

/** PyTorch's default for convolutions and linear layers: both uniform within 1/sqrt(fan in). */
export function defaultInit_(
  weight: Tensor,
  bias: Tensor | null,
  fanIn: number,
  options: InitOptions = {},
): void {
  const bound = 1 / Math.sqrt(Math.max(fanIn, 1));
  uniform_(weight, -bound, bound, options);
  if (bias !== null) uniform_(bias, -bound, bound, options);
}
