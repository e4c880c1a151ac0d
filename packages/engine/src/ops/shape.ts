// Shapes. What can be a view of the same memory is one: writing to it writes to the original.
import type { Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { choose, optionsOf } from "./options.js";
import type { Dims } from "./reduce.js";

type Shape = readonly number[];

/** The elements in row-major order under another shape; one size may be -1. A view where possible, else a copy. */
export const reshape: (x: Tensor, shape: Shape) => Tensor = use("reshape");
/** As {@link reshape}, and an error where it would take a copy. */
export const view: (x: Tensor, shape: Shape) => Tensor = use("view");

const flattenOp = use("flatten.using_ints");
/** Dimensions `start` to `end` (inclusive) joined into one. */
export function flatten(x: Tensor, start = 0, end = -1): Tensor {
  return flattenOp(x, start, end);
}

const unflattenOp = use("unflatten.int");
/** Dimension `dim` split into `sizes`. */
export function unflatten(x: Tensor, dim: number, sizes: Shape): Tensor {
  return unflattenOp(x, dim, sizes);
}

const squeezeAll = use("squeeze");
const squeezeDim = use("squeeze.dim");
/** Without dimensions of size 1, or without that one if its size is 1. */
export function squeeze(x: Tensor, dim?: number): Tensor {
  return dim === undefined ? squeezeAll(x) : squeezeDim(x, dim);
}

/** With a new dimension of size 1 before `dim`; -1 appends it. */
export const unsqueeze: (x: Tensor, dim: number) => Tensor = use("unsqueeze");

const expandOp = use("expand");
/** Dimensions of size 1 repeated to `shape` without copying; -1 keeps a size. */
export function expand(x: Tensor, shape: Shape): Tensor {
  return expandOp(x, shape);
}
export const expandAs: (x: Tensor, other: Tensor) => Tensor = use("expand_as");
/** x repeated along dimensions as broadcasting would; a view. */
export const broadcastTo: (x: Tensor, shape: Shape) => Tensor = use("broadcast_to");

/** Dimensions in another order: [N, C, H, W] by [0, 2, 3, 1] -> [N, H, W, C]. */
export const permute: (x: Tensor, dims: Shape) => Tensor = use("permute");
/** Two dimensions exchanged. */
export const transpose: (x: Tensor, dim0: number, dim1: number) => Tensor = use("transpose.int");
/** The matrix [N, M] -> [M, N]. */
export const t: (x: Tensor) => Tensor = use("t");
/** One dimension moved to another place. */
export const movedim: (x: Tensor, from: number, to: number) => Tensor = use("movedim.int");

const splitSize = use("split.Tensor");
const splitSizes = use("split_with_sizes");
/** Parts of `size` along `dim`, the last maybe smaller; or parts of the listed sizes. Views. */
export function split(x: Tensor, size: Dims, dim = 0): Tensor[] {
  return typeof size === "number" ? splitSize(x, size, dim) : splitSizes(x, size, dim);
}

const chunkOp = use("chunk");
/** At most `count` parts of equal size along `dim`, the last maybe smaller. Views. */
export function chunk(x: Tensor, count: number, dim = 0): Tensor[] {
  return chunkOp(x, count, dim);
}

const unbindOp = use("unbind.int");
/** The slices along `dim`, without it. Views. */
export function unbind(x: Tensor, dim = 0): Tensor[] {
  return unbindOp(x, dim);
}

/** The whole tensor repeated `counts` times along each dimension; a copy. */
export const repeat: (x: Tensor, counts: Shape) => Tensor = use("repeat");

const repeatEach = use("repeat_interleave.self_int");
const repeatBy = use("repeat_interleave.self_Tensor");
/** Each element repeated in place: [a, b] by 2 -> [a, a, b, b]; by a tensor of counts, each as often as it says. */
export function repeatInterleave(x: Tensor, counts: number | Tensor, dim?: number): Tensor {
  return typeof counts === "number" ? repeatEach(x, counts, dim ?? null) : repeatBy(x, counts, dim ?? null);
}

const flipOp = use("flip");
/** Reversed along `dims`; a copy. */
export function flip(x: Tensor, dims: Dims): Tensor {
  return flipOp(x, typeof dims === "number" ? [dims] : dims);
}

/** Rotated along dimensions: what leaves at the end comes in at the start. */
export const roll: (x: Tensor, shifts: Dims, dims?: Dims) => Tensor = use("roll");

const trilOp = use("tril");
const triuOp = use("triu");
/** The lower triangle of the last two dimensions, from `diagonal` down; zeros elsewhere. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return trilOp(x, diagonal);
}
/** The upper triangle of the last two dimensions, from `diagonal` up; zeros elsewhere. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return triuOp(x, diagonal);
}

export interface PadOptions {
  readonly mode?: "constant" | "reflect" | "replicate" | "circular" | undefined;
  /** What mode "constant" fills with; 0 unless told. */
  readonly value?: number | undefined;
}
const padModes = { constant: "constant", reflect: "reflect", replicate: "replicate", circular: "circular" };
const padOptions = optionsOf("pad", { mode: "constant", value: 0 } as PadOptions);
const padOp = use("pad");
/** Cells added around the last dimensions, innermost first: [left, right, top, bottom] for [N, C, H, W]; negative ones crop. */
export function pad(x: Tensor, sizes: Shape, options?: PadOptions): Tensor {
  const { mode = "constant", value = 0 } = padOptions(options);
  const chosen = choose("pad", "mode", padModes, mode);
  return padOp(x, sizes, chosen, chosen === "constant" ? value : null);
}

/** [N, C·r², H, W] -> [N, C, H·r, W·r] (Shi et al. 2016). */
export const pixelShuffle: (x: Tensor, factor: number) => Tensor = use("pixel_shuffle");
/** [N, C, H·r, W·r] -> [N, C·r², H, W] */
export const pixelUnshuffle: (x: Tensor, factor: number) => Tensor = use("pixel_unshuffle");
/** Windows of `size` every `step` along `dim`, as a new last dimension; a view. */
export const windows: (x: Tensor, dim: number, size: number, step: number) => Tensor = use("unfold");
/** The diagonal of the last two dimensions of [..., N, M]; a view. */
export const diagonal: (x: Tensor) => Tensor = (x) => diagonalOp(x, 0, -2, -1);
const diagonalOp = use("diagonal");
