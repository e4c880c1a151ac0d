// Choosing and writing elements by dimension and index. at.ts has the short form, x.at("1:5", mask).
import { Tensor } from "../tensor.js";
import type { Operand } from "./operand.js";
import { use } from "./operators.js";
import { optionsOf } from "./options.js";

const sliceOp = use("slice.Tensor");
/** Elements `start` to before `end` of `dim`, every `step`-th; negative bounds count from the end. A view. */
export function slice(x: Tensor, dim: number, start?: number | null, end?: number | null, step = 1): Tensor {
  return sliceOp(x, dim, start ?? null, end ?? null, step);
}

const selectOp = use("select.int");
/** The slice at `index` of `dim`, without that dimension. A view. */
export function select(x: Tensor, dim: number, index: number): Tensor {
  return selectOp(x, dim, index);
}

const narrowOp = use("narrow");
/** `length` elements of `dim` from `start`. A view. */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  return narrowOp(x, dim, start, length);
}

/** The slices of `dim` that the int64 or int32 vector `index` lists; a copy. */
export const indexSelect: (x: Tensor, dim: number, index: Tensor) => Tensor = use("index_select");

const gatherOp = use("gather");
/** Along `dim`, the elements that `index` (int64, as many dimensions as x) names: out[i][j] = x[index[i][j]][j] for dim 0. */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  return gatherOp(x, dim, index);
}

/** As {@link gather}, with x and index broadcast outside `dim`. */
export const takeAlongDim: (x: Tensor, index: Tensor, dim: number) => Tensor = use("take_along_dim");
/** Elements by their place in x read row-major; of the shape of `index`. */
export const take: (x: Tensor, index: Tensor) => Tensor = use("take");

type Scatter = (x: Tensor, dim: number, index: Tensor, source: Operand) => Tensor;
function scattering(
  tensors: (x: Tensor, dim: number, index: Tensor, source: Tensor) => Tensor,
  scalars: (x: Tensor, dim: number, index: Tensor, value: number | bigint) => Tensor,
): Scatter {
  return (x, dim, index, source) =>
    source instanceof Tensor ? tensors(x, dim, index, source) : scalars(x, dim, index, source);
}
/** Writes `source` where {@link gather} would read; of several writes to one place any may win. */
export const scatter: Scatter = scattering(use("scatter.src"), use("scatter.value"));
export const scatter_: Scatter = scattering(use("scatter_.src"), use("scatter_.value"));

type ScatterAdd = (x: Tensor, dim: number, index: Tensor, source: Tensor) => Tensor;
/** Adds `source` where {@link gather} would read; several to one place add up. */
export const scatterAdd: ScatterAdd = use("scatter_add");
export const scatterAdd_: ScatterAdd = use("scatter_add_");

export interface ScatterReduceOptions {
  /** Whether x's own values take part; true unless told. */
  readonly includeSelf?: boolean | undefined;
}
export type Reduce = "sum" | "prod" | "mean" | "amax" | "amin";
const scatterReduceOptions = optionsOf("scatterReduce", { includeSelf: true } as ScatterReduceOptions);
const scatterReduceOp = use("scatter_reduce.two");
const scatterReduceInPlace = use("scatter_reduce_.two");
/** As {@link scatterAdd}, with another way to combine. */
export function scatterReduce(
  x: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  reduce: Reduce,
  options?: ScatterReduceOptions,
): Tensor {
  return scatterReduceOp(x, dim, index, source, reduce, {
    include_self: scatterReduceOptions(options).includeSelf,
  });
}
export function scatterReduce_(
  x: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  reduce: Reduce,
  options?: ScatterReduceOptions,
): Tensor {
  const { includeSelf } = scatterReduceOptions(options);
  return scatterReduceInPlace(x, dim, index, source, reduce, { include_self: includeSelf });
}

export interface IndexAddOptions {
  /** Factor on the source; 1 unless told. */
  readonly alpha?: number | undefined;
}
const indexAddOptions = optionsOf("indexAdd", { alpha: 1 } as IndexAddOptions);
const indexAddOp = use("index_add");
const indexAddInPlace = use("index_add_");
/** Adds slice i of `source` to slice index[i] of x along `dim`. */
export function indexAdd(
  x: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  options?: IndexAddOptions,
): Tensor {
  return indexAddOp(x, dim, index, source, { alpha: indexAddOptions(options).alpha });
}
export function indexAdd_(
  x: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  options?: IndexAddOptions,
): Tensor {
  return indexAddInPlace(x, dim, index, source, { alpha: indexAddOptions(options).alpha });
}

/** Slices `index` of `dim` replaced by those of `source`. */
export const indexCopy: (x: Tensor, dim: number, index: Tensor, source: Tensor) => Tensor = use("index_copy");
export const indexCopy_: (x: Tensor, dim: number, index: Tensor, source: Tensor) => Tensor =
  use("index_copy_");

type IndexFill = (x: Tensor, dim: number, index: Tensor, value: number) => Tensor;
/** Slices `index` of `dim` set to a number. */
export const indexFill: IndexFill = use("index_fill.int_Scalar");
export const indexFill_: IndexFill = use("index_fill_.int_Scalar");

/** Tensors that index one after another dimension together; null takes the whole of one. */
export type Indices = readonly (Tensor | null)[];
/** Elements at the indices (int64, or bool masks), broadcast against each other; a copy. */
export const index: (x: Tensor, indices: Indices) => Tensor = use("index.Tensor");

export interface IndexPutOptions {
  /** Add to what is there, also several times to one place, instead of replacing it. */
  readonly accumulate?: boolean | undefined;
}
const indexPutOptions = optionsOf("indexPut", { accumulate: false } as IndexPutOptions);
const indexPutOp = use("index_put");
const indexPutInPlace = use("index_put_");
/** Writes `values`, broadcast, where {@link index} would read. */
export function indexPut(x: Tensor, indices: Indices, values: Tensor, options?: IndexPutOptions): Tensor {
  return indexPutOp(x, indices, values, indexPutOptions(options).accumulate);
}
export function indexPut_(x: Tensor, indices: Indices, values: Tensor, options?: IndexPutOptions): Tensor {
  return indexPutInPlace(x, indices, values, indexPutOptions(options).accumulate);
}

type MaskedFill = (x: Tensor, mask: Tensor, value: Operand) => Tensor;
function filling(
  tensors: (x: Tensor, mask: Tensor, value: Tensor) => Tensor,
  scalars: (x: Tensor, mask: Tensor, value: number | bigint) => Tensor,
): MaskedFill {
  return (x, mask, value) => (value instanceof Tensor ? tensors(x, mask, value) : scalars(x, mask, value));
}
/** `value` where the bool `mask`, broadcast, holds. */
export const maskedFill: MaskedFill = filling(use("masked_fill.Tensor"), use("masked_fill.Scalar"));
export const maskedFill_: MaskedFill = filling(use("masked_fill_.Tensor"), use("masked_fill_.Scalar"));
/** The elements where `mask` holds, as a vector. */
export const maskedSelect: (x: Tensor, mask: Tensor) => Tensor = use("masked_select");
/** The elements of `source` one after another where `mask` holds. */
export const maskedScatter: (x: Tensor, mask: Tensor, source: Tensor) => Tensor = use("masked_scatter");
export const maskedScatter_: (x: Tensor, mask: Tensor, source: Tensor) => Tensor = use("masked_scatter_");

const searchOp = use("searchsorted.Tensor");
const searchOptions = optionsOf("searchsorted", { right: false } as { right?: boolean | undefined });
/**
 * Where in the ascending `sorted` [..., N] each of `values` [..., M] would go, int64: before equal ones, or after them
 * with `right`.
 */
export function searchsorted(
  sorted: Tensor,
  values: Tensor,
  options?: { right?: boolean | undefined },
): Tensor {
  return searchOp(sorted, values, { right: searchOptions(options).right });
}
