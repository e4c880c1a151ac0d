// Order, places and counts.
import type { Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { optionsOf } from "./options.js";
import type { KeepdimOptions } from "./reduce.js";

export interface TopkOptions {
  /** -1 unless told. */
  readonly dim?: number | undefined;
  /** The largest, or the smallest; true unless told. */
  readonly largest?: boolean | undefined;
  /** In order; true unless told. */
  readonly sorted?: boolean | undefined;
}
const topkOptions = optionsOf("topk", { dim: -1, largest: true, sorted: true } as TopkOptions);
const topkOp = use("topk");
/** The k largest along a dimension, and where they are (int64). */
export function topk(x: Tensor, k: number, options?: TopkOptions): [values: Tensor, indices: Tensor] {
  const { dim, largest, sorted } = topkOptions(options);
  return topkOp(x, k, dim, largest, sorted);
}

export interface SortOptions {
  /** -1 unless told. */
  readonly dim?: number | undefined;
  readonly descending?: boolean | undefined;
  /** Equal ones keep their order. */
  readonly stable?: boolean | undefined;
}
const sortDefaults = { dim: -1, descending: false, stable: false } as SortOptions;
const sortOptions = optionsOf("sort", sortDefaults);
const sortOp = use("sort.stable");
/** Ascending along a dimension, and where each came from (int64). */
export function sort(x: Tensor, options?: SortOptions): [values: Tensor, indices: Tensor] {
  const { dim, descending, stable = false } = sortOptions(options);
  return sortOp(x, { stable, dim, descending });
}

const argsortOptions = optionsOf("argsort", sortDefaults);
/** Where each element of the sorted tensor comes from; int64. */
export function argsort(x: Tensor, options?: SortOptions): Tensor {
  const { dim, descending, stable = false } = argsortOptions(options);
  const [values, indices] = sortOp(x, { stable, dim, descending });
  values.free();
  return indices;
}

const argmaxOptions = optionsOf("argmax", { keepdim: false } as KeepdimOptions);
const argmaxOp = use("argmax");
/** Where the largest is, along `dim` or in all of x read row-major; int64. */
export function argmax(x: Tensor, dim?: number, options?: KeepdimOptions): Tensor {
  return argmaxOp(x, dim ?? null, argmaxOptions(options).keepdim);
}

const argminOptions = optionsOf("argmin", { keepdim: false } as KeepdimOptions);
const argminOp = use("argmin");
/** Where the smallest is, along `dim` or in all of x read row-major; int64. */
export function argmin(x: Tensor, dim?: number, options?: KeepdimOptions): Tensor {
  return argminOp(x, dim ?? null, argminOptions(options).keepdim);
}

const uniqueAll = use("_unique2");
const uniqueDim = use("unique_dim");
/** The different elements in ascending order (or slices along `dim`), which of them each is, and how often each occurs. */
export function unique(x: Tensor, dim?: number): [values: Tensor, inverse: Tensor, counts: Tensor] {
  return dim === undefined ? uniqueAll(x, true, true, true) : uniqueDim(x, dim, true, true, true);
}

/** Indices of the elements that are not zero, in row-major order; int64 [count, ndim]. */
export const nonzero: (x: Tensor) => Tensor = use("nonzero");

export interface BincountOptions {
  /** What each element adds instead of 1; of x's shape. */
  readonly weights?: Tensor | null | undefined;
  /** Least length of the result. */
  readonly minlength?: number | undefined;
}
const bincountOptions = optionsOf("bincount", { weights: null, minlength: 0 } as BincountOptions);
const bincountOp = use("bincount");
/** How often each of 0, 1, 2 ... occurs in a vector of non-negative integers. */
export function bincount(x: Tensor, options?: BincountOptions): Tensor {
  const { weights, minlength } = bincountOptions(options);
  return bincountOp(x, weights, minlength);
}

const oneHotOp = use("one_hot");
/** int64 [...] of classes -> int64 [..., classes] of zeros and ones; as many classes as occur unless told. */
export function oneHot(x: Tensor, classes = -1): Tensor {
  return oneHotOp(x, classes);
}
