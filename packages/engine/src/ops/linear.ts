// Products of vectors and matrices.
import type { Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { optionsOf } from "./options.js";

/** [..., N, K] x [..., K, M] -> [..., N, M]; vectors count as a row on the left, a column on the right. */
export const matmul: (x: Tensor, y: Tensor) => Tensor = use("matmul");
/** [N, K] x [K, M] -> [N, M] */
export const mm: (x: Tensor, y: Tensor) => Tensor = use("mm");
/** [B, N, K] x [B, K, M] -> [B, N, M] */
export const bmm: (x: Tensor, y: Tensor) => Tensor = use("bmm");
/** [N, K] x [K] -> [N] */
export const mv: (x: Tensor, y: Tensor) => Tensor = use("mv");
/** [K] · [K] -> [] */
export const dot: (x: Tensor, y: Tensor) => Tensor = use("dot");
/** [N] x [M] -> [N, M] */
export const outer: (x: Tensor, y: Tensor) => Tensor = use("outer");

const linearOp = use("linear");
/** [..., I] -> [..., O] by weight [O, I] and bias [O]. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return linearOp(x, weight, bias);
}

export interface SumFactors {
  /** Factor on the first argument; 1 unless told. */
  readonly beta?: number | undefined;
  /** Factor on the product; 1 unless told. */
  readonly alpha?: number | undefined;
}
const factors = { beta: 1, alpha: 1 } as SumFactors;
const addmmOp = use("addmm");
const addmmOptions = optionsOf("addmm", factors);
/** beta · x + alpha · (a @ b), of matrices. */
export function addmm(x: Tensor, a: Tensor, b: Tensor, options?: SumFactors): Tensor {
  const { beta, alpha } = addmmOptions(options);
  return addmmOp(x, a, b, { beta, alpha });
}
const baddbmmOp = use("baddbmm");
const baddbmmOptions = optionsOf("baddbmm", factors);
/** beta · x + alpha · (a @ b), of batches of matrices. */
export function baddbmm(x: Tensor, a: Tensor, b: Tensor, options?: SumFactors): Tensor {
  const { beta, alpha } = baddbmmOptions(options);
  return baddbmmOp(x, a, b, { beta, alpha });
}

const cdistOp = use("cdist");
/** Distances between rows, [..., N, D] and [..., M, D] -> [..., N, M], in the p-norm; 2 unless told. */
export function cdist(x: Tensor, y: Tensor, p = 2): Tensor {
  return cdistOp(x, y, p);
}
