// Convolution, pooling and resizing of maps [N, C, H, W]. A size or stride is one number, or [vertical, horizontal].
import { check } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { choose, optionsOf } from "./options.js";

/** One number for both, or [vertical, horizontal]. */
export type Size2d = number | readonly [vertical: number, horizontal: number];

const pair = (size: Size2d): readonly [number, number] => (typeof size === "number" ? [size, size] : size);

export interface Conv2dOptions {
  readonly stride?: Size2d | undefined;
  /** Zeros on each side; "same" (stride 1 only) keeps the size, "valid" is 0. */
  readonly padding?: Size2d | "same" | "valid" | undefined;
  readonly dilation?: Size2d | undefined;
  readonly groups?: number | undefined;
}
const conv2dOptions = optionsOf("conv2d", { stride: 1, padding: 0, dilation: 1, groups: 1 } as Conv2dOptions);
const conv2dOp = use("conv2d");
const conv2dNamed = use("conv2d.padding");
/** [N, C, H, W] by weight [O, C / groups, kH, kW] and bias [O] -> [N, O, H', W']. */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options?: Conv2dOptions,
): Tensor {
  const { stride, padding, dilation, groups } = conv2dOptions(options);
  return typeof padding === "string"
    ? conv2dNamed(x, weight, bias, stride, padding, dilation, groups)
    : conv2dOp(x, weight, bias, stride, padding, dilation, groups);
}

export interface ConvTranspose2dOptions {
  readonly stride?: Size2d | undefined;
  readonly padding?: Size2d | undefined;
  /** Rows and columns added to one side of the result. */
  readonly outputPadding?: Size2d | undefined;
  readonly groups?: number | undefined;
  readonly dilation?: Size2d | undefined;
}
const transposeOptions = optionsOf("convTranspose2d", {
  stride: 1,
  padding: 0,
  outputPadding: 0,
  groups: 1,
  dilation: 1,
} as ConvTranspose2dOptions);
const convTranspose2dOp = use("conv_transpose2d.input");
/** [N, I, H, W] by weight [I, O / groups, kH, kW] and bias [O] -> [N, O, H', W']: the gradient of a convolution. */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options?: ConvTranspose2dOptions,
): Tensor {
  const { stride, padding, outputPadding, groups, dilation } = transposeOptions(options);
  return convTranspose2dOp(x, weight, bias, stride, padding, outputPadding, groups, dilation);
}

export interface MaxPool2dOptions {
  /** The kernel's size unless told. */
  readonly stride?: Size2d | undefined;
  readonly padding?: Size2d | undefined;
  readonly dilation?: Size2d | undefined;
  /** Round the size of the result up. */
  readonly ceilMode?: boolean | undefined;
}
const maxDefaults = { stride: undefined, padding: 0, dilation: 1, ceilMode: false } as MaxPool2dOptions;
const maxPoolOptions = optionsOf("maxPool2d", maxDefaults);
const maxPool2dOp = use("max_pool2d");
/** The largest in each window; [N, C, H, W] -> [N, C, H', W']. */
export function maxPool2d(x: Tensor, kernelSize: Size2d, options?: MaxPool2dOptions): Tensor {
  const { stride = kernelSize, padding, dilation, ceilMode } = maxPoolOptions(options);
  return maxPool2dOp(x, kernelSize, stride, padding, dilation, ceilMode);
}

const maxIndicesOptions = optionsOf("maxPool2dWithIndices", maxDefaults);
const maxPool2dIndices = use("max_pool2d_with_indices");
/** As {@link maxPool2d}, and where each was: int64 places in the map read row-major. */
export function maxPool2dWithIndices(
  x: Tensor,
  kernelSize: Size2d,
  options?: MaxPool2dOptions,
): [values: Tensor, indices: Tensor] {
  const { stride = kernelSize, padding, dilation, ceilMode } = maxIndicesOptions(options);
  return maxPool2dIndices(x, kernelSize, stride, padding, dilation, ceilMode);
}

export interface AvgPool2dOptions {
  /** The kernel's size unless told. */
  readonly stride?: Size2d | undefined;
  readonly padding?: Size2d | undefined;
  readonly ceilMode?: boolean | undefined;
  /** Padding counts as zeros; true unless told. */
  readonly countIncludePad?: boolean | undefined;
  /** Divide by this instead of the window's count. */
  readonly divisor?: number | null | undefined;
}
const avgOptions = optionsOf("avgPool2d", {
  stride: undefined,
  padding: 0,
  ceilMode: false,
  countIncludePad: true,
  divisor: null,
} as AvgPool2dOptions);
const avgPool2dOp = use("avg_pool2d");
/** The mean of each window; [N, C, H, W] -> [N, C, H', W']. */
export function avgPool2d(x: Tensor, kernelSize: Size2d, options?: AvgPool2dOptions): Tensor {
  const { stride = kernelSize, padding, ceilMode, countIncludePad, divisor } = avgOptions(options);
  return avgPool2dOp(x, kernelSize, stride, padding, ceilMode, countIncludePad, divisor);
}

const adaptiveAvg = use("adaptive_avg_pool2d");
const adaptiveMax = use("adaptive_max_pool2d");
/** Means over windows that share the map evenly; [N, C, H, W] -> [N, C, ...size]. */
export function adaptiveAvgPool2d(x: Tensor, size: Size2d): Tensor {
  return adaptiveAvg(x, size);
}
/** As {@link adaptiveAvgPool2d}, the largest and where they were. */
export function adaptiveMaxPool2d(x: Tensor, size: Size2d): [values: Tensor, indices: Tensor] {
  return adaptiveMax(x, size);
}

export interface WindowOptions {
  readonly stride?: Size2d | undefined;
  readonly padding?: Size2d | undefined;
  readonly dilation?: Size2d | undefined;
}
const windowDefaults = { stride: 1, padding: 0, dilation: 1 } as Required<WindowOptions>;
const unfoldOptions = optionsOf("unfold", windowDefaults as WindowOptions);
const im2col = use("im2col");
/** Windows as columns: [N, C, H, W] -> [N, C·kH·kW, H'·W']. */
export function unfold(x: Tensor, kernelSize: Size2d, options?: WindowOptions): Tensor {
  const { stride = 1, padding = 0, dilation = 1 } = unfoldOptions(options);
  return im2col(x, kernelSize, dilation, padding, stride);
}
const foldOptions = optionsOf("fold", windowDefaults as WindowOptions);
const col2im = use("col2im");
/** Columns added back into a map of `size`: [N, C·kH·kW, L] -> [N, C, H, W], the gradient of {@link unfold}. */
export function fold(x: Tensor, size: Size2d, kernelSize: Size2d, options?: WindowOptions): Tensor {
  const { stride = 1, padding = 0, dilation = 1 } = foldOptions(options);
  return col2im(x, size, kernelSize, dilation, padding, stride);
}

export interface InterpolateOptions {
  /** Of the result; or give `scaleFactor`. */
  readonly size?: Size2d | undefined;
  readonly scaleFactor?: Size2d | undefined;
  /** "nearest" unless told; "nearestExact" takes the cell whose centre is nearest. */
  readonly mode?: "nearest" | "nearestExact" | "bilinear" | "bicubic" | undefined;
  /** The corners' centres of both maps coincide, instead of the maps' edges; bilinear and bicubic. */
  readonly alignCorners?: boolean | undefined;
  /** Average while shrinking; bilinear and bicubic. */
  readonly antialias?: boolean | undefined;
}
const interpolateOptions = optionsOf("interpolate", {
  size: undefined,
  scaleFactor: undefined,
  mode: "nearest",
  alignCorners: false,
  antialias: false,
} as InterpolateOptions);
const plainResize = {
  nearest: use("upsample_nearest2d.vec"),
  nearestExact: use("_upsample_nearest_exact2d.vec"),
};
const smoothResize = { bilinear: use("upsample_bilinear2d.vec"), bicubic: use("upsample_bicubic2d.vec") };
const averagingResize = {
  bilinear: use("_upsample_bilinear2d_aa.vec"),
  bicubic: use("_upsample_bicubic2d_aa.vec"),
};
const modes = { nearest: true, nearestExact: true, bilinear: false, bicubic: false } as const;

/** [N, C, H, W] resized to `size` or by `scaleFactor` (sizes round down) -> [N, C, H', W']. */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  const {
    size,
    scaleFactor,
    mode = "nearest",
    alignCorners = false,
    antialias = false,
  } = interpolateOptions(options);
  check(
    (size === undefined) !== (scaleFactor === undefined),
    () => `interpolate: expected either size or scaleFactor, got ${size === undefined ? "neither" : "both"}`,
  );
  const target = size === undefined ? null : pair(size);
  const factor = scaleFactor === undefined ? null : pair(scaleFactor);
  if (choose("interpolate", "mode", modes, mode)) {
    check(
      !alignCorners && !antialias,
      () => `interpolate: mode "${mode}" takes no alignCorners or antialias`,
    );
    return plainResize[mode as keyof typeof plainResize](x, target, factor);
  }
  const resize = antialias ? averagingResize : smoothResize;
  return resize[mode as keyof typeof resize](x, target, alignCorners, factor);
}
