// Random numbers into, and chosen by, a tensor. `generator` is the stream to draw from; the process's unless told.
import type { GeneratorHandle } from "../door.js";
import type { Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { optionsOf } from "./options.js";

export interface StreamOptions {
  readonly generator?: GeneratorHandle | null | undefined;
}

export interface NormalOptions extends StreamOptions {
  readonly mean?: number | undefined;
  readonly std?: number | undefined;
}
const normalOptions = optionsOf("normal_", { mean: 0, std: 1, generator: null } as NormalOptions);
const normalOp = use("normal_");
/** Fills x from a normal distribution. */
export function normal_(x: Tensor, options?: NormalOptions): Tensor {
  const { mean, std, generator } = normalOptions(options);
  return normalOp(x, mean, std, { generator });
}

export interface UniformOptions extends StreamOptions {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}
const uniformOptions = optionsOf("uniform_", { from: 0, to: 1, generator: null } as UniformOptions);
const uniformOp = use("uniform_");
/** Fills x uniformly from [from, to). */
export function uniform_(x: Tensor, options?: UniformOptions): Tensor {
  const { from, to, generator } = uniformOptions(options);
  return uniformOp(x, from, to, { generator });
}

const bernoulliOptions = optionsOf("bernoulli", { generator: null } as StreamOptions);
const bernoulliOp = use("bernoulli");
/** 1 with the probability that the element of x says, else 0. */
export function bernoulli(x: Tensor, options?: StreamOptions): Tensor {
  return bernoulliOp(x, { generator: bernoulliOptions(options).generator });
}

export interface MultinomialOptions extends StreamOptions {
  readonly replacement?: boolean | undefined;
}
const multinomialOptions = optionsOf("multinomial", {
  replacement: false,
  generator: null,
} as MultinomialOptions);
const multinomialOp = use("multinomial");
/** `count` indices drawn by weight from each row: [K] -> int64 [count], [N, K] -> int64 [N, count]. */
export function multinomial(x: Tensor, count: number, options?: MultinomialOptions): Tensor {
  const { replacement, generator } = multinomialOptions(options);
  return multinomialOp(x, count, replacement, { generator });
}
