// Dtype, device, layout, copies.
import type { DType } from "../dtype.js";
import type { Device, Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { choose, optionsOf } from "./options.js";

/** "channelsLast" stores [N, C, H, W] with the channels next to each other, as fast convolutions like it. */
export type MemoryFormat = "contiguous" | "preserve" | "channelsLast";
const formats = { contiguous: "contiguous", preserve: "preserve", channelsLast: "channels_last" } as const;

/** libtorch's name of a memory format. */
function formatOf(name: string, format: MemoryFormat | undefined): (typeof formats)[MemoryFormat] | null {
  return format === undefined ? null : choose(name, "memoryFormat", formats, format);
}

export interface ToOptions {
  readonly dtype?: DType | undefined;
  readonly device?: Device | undefined;
  readonly memoryFormat?: MemoryFormat | undefined;
  /** A copy even where nothing changes. */
  readonly copy?: boolean | undefined;
  /** Do not wait for a copy between pinned memory and a GPU. */
  readonly nonBlocking?: boolean | undefined;
}
const toOptions = optionsOf("to", {
  dtype: undefined,
  device: undefined,
  memoryFormat: undefined,
  copy: false,
  nonBlocking: false,
} as ToOptions);
const toOp = use("to.dtype_layout");
/** x as another dtype, on another device or in another memory format; the same memory where nothing changes. */
export function to(x: Tensor, options: ToOptions): Tensor {
  const { dtype, device, memoryFormat, copy, nonBlocking } = toOptions(options);
  const memory_format = formatOf("to", memoryFormat);
  return toOp(x, { dtype, device, non_blocking: nonBlocking, copy, memory_format });
}

const toDType = use("to.dtype");
const as =
  (dtype: DType): ((x: Tensor) => Tensor) =>
  (x) =>
    toDType(x, dtype);
/** As float32. */
export const float = as("float32");
/** As float64. */
export const double = as("float64");
/** As float16. */
export const half = as("float16");
export const bfloat16 = as("bfloat16");
/** As int64. */
export const long = as("int64");
/** As int32; fractions are cut off. */
export const int = as("int32");
/** As bool: what is not zero is true. */
export const bool = as("bool");

/** As the dtype of `other`. */
export function typeAs(x: Tensor, other: Tensor): Tensor {
  return toDType(x, other.dtype);
}

/** On the CPU. */
export function cpu(x: Tensor): Tensor {
  return to(x, { device: "cpu" });
}
/** On a GPU; the first unless told. */
export function cuda(x: Tensor, index = 0): Tensor {
  return to(x, { device: `cuda:${index}` });
}

const contiguousOp = use("contiguous");
/** With its elements in memory order: row-major unless told. The same memory where it is so already. */
export function contiguous(
  x: Tensor,
  memoryFormat: Exclude<MemoryFormat, "preserve"> = "contiguous",
): Tensor {
  return contiguousOp(x, { memory_format: formatOf("contiguous", memoryFormat) ?? undefined });
}

const cloneOp = use("clone");
/** A copy; differentiable. */
export function clone(x: Tensor, memoryFormat?: MemoryFormat): Tensor {
  return cloneOp(x, { memory_format: formatOf("clone", memoryFormat) });
}

/** The same memory without a history of operations: gradients stop here. */
export const detach: (x: Tensor) => Tensor = use("detach");
export const detach_: (x: Tensor) => Tensor = use("detach_");
