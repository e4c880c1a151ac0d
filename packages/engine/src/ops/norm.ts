// Normalisation.
import { scope } from "../scope.js";
import type { Tensor } from "../tensor.js";
import { clampMin, div } from "./elementwise.js";
import { use } from "./operators.js";
import { optionsOf } from "./options.js";
import { norm } from "./reduce.js";

export interface BatchNormOptions {
  /** [C] */
  readonly weight?: Tensor | null | undefined;
  readonly bias?: Tensor | null | undefined;
  /** [C]; written in training, needed outside it. */
  readonly runningMean?: Tensor | null | undefined;
  readonly runningVar?: Tensor | null | undefined;
  /** By the batch's statistics instead of the running ones. */
  readonly training?: boolean | undefined;
  /** Weight of a new batch in the running statistics; 0.1 unless told. */
  readonly momentum?: number | undefined;
  readonly eps?: number | undefined;
}
const batchNormOptions = optionsOf("batchNorm", {
  weight: null,
  bias: null,
  runningMean: null,
  runningVar: null,
  training: false,
  momentum: 0.1,
  eps: 1e-5,
} as Required<BatchNormOptions>);
const batchNormOp = use("batch_norm");
/** [N, C, ...] normalised for each channel over the rest (Ioffe and Szegedy 2015). */
export function batchNorm(x: Tensor, options?: BatchNormOptions): Tensor {
  const o = batchNormOptions(options);
  const [weight, bias, mean, variance] = [
    o.weight ?? null,
    o.bias ?? null,
    o.runningMean ?? null,
    o.runningVar ?? null,
  ];
  return batchNormOp(
    x,
    weight,
    bias,
    mean,
    variance,
    o.training ?? false,
    o.momentum ?? 0.1,
    o.eps ?? 1e-5,
    true,
  );
}

export interface AffineOptions {
  readonly weight?: Tensor | null | undefined;
  readonly bias?: Tensor | null | undefined;
  /** 1e-5 unless told. */
  readonly eps?: number | undefined;
}
const affine = { weight: null, bias: null, eps: 1e-5 } as AffineOptions;
const groupNormOptions = optionsOf("groupNorm", affine);
const groupNormOp = use("group_norm");
/** [N, C, ...] normalised within each image over groups of channels; weight and bias [C] (Wu and He 2018). */
export function groupNorm(x: Tensor, groups: number, options?: AffineOptions): Tensor {
  const { weight, bias, eps } = groupNormOptions(options);
  return groupNormOp(x, groups, weight, bias, eps);
}

const layerNormOptions = optionsOf("layerNorm", affine);
const layerNormOp = use("layer_norm");
/** Normalised over the last dimensions, whose sizes are `shape`; weight and bias of that shape (Ba et al. 2016). */
export function layerNorm(x: Tensor, shape: readonly number[], options?: AffineOptions): Tensor {
  const { weight, bias, eps } = layerNormOptions(options);
  return layerNormOp(x, shape, weight, bias, eps);
}

const instanceNormOptions = optionsOf("instanceNorm", affine);
const instanceNormOp = use("instance_norm");
/** [N, C, ...] normalised for each image and channel over the rest; weight and bias [C]. */
export function instanceNorm(x: Tensor, options?: AffineOptions): Tensor {
  const { weight = null, bias = null, eps = 1e-5 } = instanceNormOptions(options);
  return instanceNormOp(x, weight, bias, null, null, true, 0.1, eps, true);
}

export interface NormalizeOptions {
  /** Order of the norm; 2 unless told. */
  readonly p?: number | undefined;
  /** 1 unless told. */
  readonly dim?: number | undefined;
  /** Least divisor; 1e-12 unless told. */
  readonly eps?: number | undefined;
}
const normalizeOptions = optionsOf("normalize", { p: 2, dim: 1, eps: 1e-12 } as NormalizeOptions);
/** Divided by its norm along `dim`. */
export function normalize(x: Tensor, options?: NormalizeOptions): Tensor {
  const { p, dim, eps = 1e-12 } = normalizeOptions(options);
  return scope(() => div(x, clampMin(norm(x, { p, dim, keepdim: true }), eps)));
}
