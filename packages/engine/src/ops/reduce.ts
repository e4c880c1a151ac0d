// Reductions. `dim` is one dimension, negative ones counted from the end, or where noted several; left out, all.
import type { DType } from "../dtype.js";
import type { Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { optionsOf } from "./options.js";

/** One dimension or several; negative ones count from the end. */
export type Dims = number | readonly number[];

export interface KeepdimOptions {
  /** Keep the reduced dimensions with size 1. */
  readonly keepdim?: boolean | undefined;
}

export interface SumOptions extends KeepdimOptions {
  /** Convert to this first; booleans and integers add up in int64 unless told. */
  readonly dtype?: DType | undefined;
}

const keep = (name: string) => optionsOf(name, { keepdim: false } as KeepdimOptions);
const accumulate = (name: string) => optionsOf(name, { keepdim: false, dtype: undefined } as SumOptions);

const sumAll = use("sum");
const sumDims = use("sum.dim_IntList");
const sumOptions = accumulate("sum");
/** Sum over all elements, or over `dim` (one or several). */
export function sum(x: Tensor, dim?: Dims | null, options?: SumOptions): Tensor {
  const { keepdim, dtype } = sumOptions(options);
  return dim === undefined || (dim === null && !keepdim)
    ? sumAll(x, { dtype })
    : sumDims(x, dim, keepdim, { dtype });
}

const meanAll = use("mean");
const meanDims = use("mean.dim");
const meanOptions = accumulate("mean");
/** Mean over all elements, or over `dim` (one or several). Floating point; give `dtype` for integers. */
export function mean(x: Tensor, dim?: Dims | null, options?: SumOptions): Tensor {
  const { keepdim, dtype } = meanOptions(options);
  return dim === undefined || (dim === null && !keepdim)
    ? meanAll(x, { dtype })
    : meanDims(x, dim, keepdim, { dtype });
}

const prodAll = use("prod");
const prodDim = use("prod.dim_int");
const prodOptions = accumulate("prod");
/** Product of all elements, or along one dimension. */
export function prod(x: Tensor, dim?: number, options?: SumOptions): Tensor {
  const { keepdim, dtype } = prodOptions(options);
  return dim === undefined ? prodAll(x, { dtype }) : prodDim(x, dim, keepdim, { dtype });
}

export interface SpreadOptions extends KeepdimOptions {
  /** Taken from the count in the denominator: 1 (unbiased) unless told, 0 for the population's. */
  readonly correction?: number | undefined;
}
const spread = (name: string) => optionsOf(name, { keepdim: false, correction: 1 } as SpreadOptions);
const varianceOp = use("var.correction");
const varianceOptions = spread("variance");
/** Variance of all elements, or over `dim` (one or several). */
export function variance(x: Tensor, dim?: Dims | null, options?: SpreadOptions): Tensor {
  const { keepdim, correction = 1 } = varianceOptions(options);
  return varianceOp(x, dim ?? null, { correction, keepdim });
}

const stdOp = use("std.correction");
const stdOptions = spread("std");
/** Standard deviation of all elements, or over `dim` (one or several). */
export function std(x: Tensor, dim?: Dims | null, options?: SpreadOptions): Tensor {
  const { keepdim, correction = 1 } = stdOptions(options);
  return stdOp(x, dim ?? null, { correction, keepdim });
}

const varMeanOp = use("var_mean.correction");
const varMeanOptions = spread("varMean");
/** Variance and mean in one pass. */
export function varMean(
  x: Tensor,
  dim?: Dims | null,
  options?: SpreadOptions,
): [variance: Tensor, mean: Tensor] {
  const { keepdim, correction = 1 } = varMeanOptions(options);
  return varMeanOp(x, dim ?? null, { correction, keepdim });
}

type Extreme = [values: Tensor, indices: Tensor];
const maxAll = use("max");
const maxDim = use("max.dim");
const maxOptions = keep("max");
/** The largest element; along `dim`, the largest of each row and where they are (int64). */
export function max(x: Tensor): Tensor;
export function max(x: Tensor, dim: number, options?: KeepdimOptions): Extreme;
export function max(x: Tensor, dim?: number, options?: KeepdimOptions): Tensor | Extreme {
  return dim === undefined ? maxAll(x) : maxDim(x, dim, maxOptions(options).keepdim);
}

const minAll = use("min");
const minDim = use("min.dim");
const minOptions = keep("min");
/** The smallest element; along `dim`, the smallest of each row and where they are (int64). */
export function min(x: Tensor): Tensor;
export function min(x: Tensor, dim: number, options?: KeepdimOptions): Extreme;
export function min(x: Tensor, dim?: number, options?: KeepdimOptions): Tensor | Extreme {
  return dim === undefined ? minAll(x) : minDim(x, dim, minOptions(options).keepdim);
}

const medianAll = use("median");
const medianDim = use("median.dim");
const medianOptions = keep("median");
/** The middle element, the lower of two; along `dim`, those of each row and where they are (int64). */
export function median(x: Tensor): Tensor;
export function median(x: Tensor, dim: number, options?: KeepdimOptions): Extreme;
export function median(x: Tensor, dim?: number, options?: KeepdimOptions): Tensor | Extreme {
  return dim === undefined ? medianAll(x) : medianDim(x, dim, medianOptions(options).keepdim);
}

const amaxOp = use("amax");
const amaxOptions = keep("amax");
/** The largest over `dim` (one or several); equal ones share the gradient. */
export function amax(x: Tensor, dim: Dims = [], options?: KeepdimOptions): Tensor {
  return amaxOp(x, dim, amaxOptions(options).keepdim);
}

const aminOp = use("amin");
const aminOptions = keep("amin");
/** The smallest over `dim` (one or several); equal ones share the gradient. */
export function amin(x: Tensor, dim: Dims = [], options?: KeepdimOptions): Tensor {
  return aminOp(x, dim, aminOptions(options).keepdim);
}

const anyAll = use("any");
const anyDim = use("any.dim");
const anyOptions = keep("any");
/** Whether any element, or any along `dim`, is not zero; bool. */
export function any(x: Tensor, dim?: number, options?: KeepdimOptions): Tensor {
  return dim === undefined ? anyAll(x) : anyDim(x, dim, anyOptions(options).keepdim);
}

const allAll = use("all");
const allDim = use("all.dim");
const allOptions = keep("all");
/** Whether all elements, or all along `dim`, are not zero; bool. */
export function all(x: Tensor, dim?: number, options?: KeepdimOptions): Tensor {
  return dim === undefined ? allAll(x) : allDim(x, dim, allOptions(options).keepdim);
}

export interface NormOptions extends KeepdimOptions {
  /** Order: 2 unless told; Infinity for the largest magnitude. */
  readonly p?: number | undefined;
  readonly dim?: Dims | null | undefined;
}
const normOptions = optionsOf("norm", { p: 2, dim: null, keepdim: false } as NormOptions);
const vectorNorm = use("linalg_vector_norm");
/** (Σ |x|ᵖ)^(1/p) over all elements or over `dim`. */
export function norm(x: Tensor, options?: NormOptions): Tensor {
  const { p = 2, dim, keepdim } = normOptions(options);
  return vectorNorm(x, p, dim, keepdim);
}

const logsumexpOp = use("logsumexp");
const logsumexpOptions = keep("logsumexp");
/** log Σ eˣ over `dim` (one or several), without overflow. */
export function logsumexp(x: Tensor, dim: Dims, options?: KeepdimOptions): Tensor {
  return logsumexpOp(x, dim, logsumexpOptions(options).keepdim);
}

/** Running sum along a dimension. */
export const cumsum: (x: Tensor, dim: number) => Tensor = use("cumsum");
/** Running product along a dimension. */
export const cumprod: (x: Tensor, dim: number) => Tensor = use("cumprod");

const cummaxOp = use("cummax");
/** Running maximum along a dimension, and where each was (int64). */
export function cummax(x: Tensor, dim: number): Extreme {
  return cummaxOp(x, dim);
}

const countAll = use("count_nonzero");
const countDims = use("count_nonzero.dim_IntList");
/** How many elements, of all or over `dim` (one or several), are not zero; int64. */
export function countNonzero(x: Tensor, dim?: Dims): Tensor {
  if (dim === undefined) return countAll(x);
  return countDims(x, typeof dim === "number" ? [dim] : dim);
}

const quantileOp = use("quantile.scalar");
/** The value below which a fraction `q` of the elements lies, linearly interpolated; along `dim` where told. */
export function quantile(x: Tensor, q: number, dim?: number): Tensor {
  return quantileOp(x, q, dim ?? null);
}
