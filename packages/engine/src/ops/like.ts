// New tensors after the example of one: its shape, dtype and device unless told.
import type { DType } from "../dtype.js";
import type { Device, Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { optionsOf } from "./options.js";

export interface LikeOptions {
  readonly dtype?: DType | undefined;
  readonly device?: Device | undefined;
}
const reading = (name: string) => optionsOf(name, { dtype: undefined, device: undefined } as LikeOptions);

type Like = (x: Tensor, options?: LikeOptions) => Tensor;
function like(name: string, operator: (x: Tensor, o?: LikeOptions) => Tensor): Like {
  const read = reading(name);
  return (x, options) => (options === undefined ? operator(x) : operator(x, read(options)));
}
/** Of x's shape; every element must be written before it is read. */
export const emptyLike: Like = like("emptyLike", use("empty_like"));
export const zerosLike: Like = like("zerosLike", use("zeros_like"));
export const onesLike: Like = like("onesLike", use("ones_like"));
/** Uniform in [0, 1), of x's shape. */
export const randLike: Like = like("randLike", use("rand_like"));
/** Standard normal, of x's shape. */
export const randnLike: Like = like("randnLike", use("randn_like"));

const fullLikeOp = use("full_like");
const fullLikeOptions = reading("fullLike");
export function fullLike(x: Tensor, value: number, options?: LikeOptions): Tensor {
  return fullLikeOp(x, value, fullLikeOptions(options));
}

type New = (x: Tensor, shape: readonly number[], options?: LikeOptions) => Tensor;
function fresh(
  name: string,
  operator: (x: Tensor, shape: readonly number[], o?: LikeOptions) => Tensor,
): New {
  const read = reading(name);
  return (x, shape, options) => operator(x, shape, read(options));
}
/** Of another shape, with x's dtype and device. */
export const newEmpty: New = fresh("newEmpty", use("new_empty"));
export const newZeros: New = fresh("newZeros", use("new_zeros"));
export const newOnes: New = fresh("newOnes", use("new_ones"));

const newFullOp = use("new_full");
const newFullOptions = reading("newFull");
export function newFull(x: Tensor, shape: readonly number[], value: number, options?: LikeOptions): Tensor {
  return newFullOp(x, shape, value, newFullOptions(options));
}
