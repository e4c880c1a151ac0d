import { EngineError } from "./errors.js";
import type { Tensor } from "./tensor.js";

/** Numbers nested as deep as the tensor has dimensions. */
export type Nested = number | Nested[];

const scratch = new DataView(new ArrayBuffer(4));

function fromBfloat16(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function numberOf(value: number | bigint, dtype: string): number {
  if (dtype === "float16") return fromFloat16(Number(value));
  if (dtype === "bfloat16") return fromBfloat16(Number(value));
  const number = Number(value);
  if (typeof value === "bigint" && !Number.isSafeInteger(number)) {
    throw new EngineError(
      "BAD_ARGUMENT",
      `tolist: ${value} does not fit a JavaScript number; use toTypedArray()`,
    );
  }
  return number;
}

function build(numbers: readonly number[], shape: readonly number[], offset: number, size: number): Nested {
  const [first, ...rest] = shape;
  if (first === undefined) return numbers[offset] as number;
  const step = first === 0 ? 0 : size / first;
  return Array.from({ length: first }, (_, i) => build(numbers, rest, offset + i * step, step));
}

export function nest(tensor: Tensor): Nested {
  const { dtype } = tensor;
  const numbers = Array.from(tensor.toTypedArray() as ArrayLike<number | bigint>, (value) =>
    numberOf(value, dtype),
  );
  return build(numbers, tensor.shape, 0, numbers.length);
}

const edgeItems = 3;
const mostPrinted = 1000;

/** How to write floating-point numbers so that all of them read well together. */
function formatterFor(numbers: readonly number[]): (value: number) => string {
  const finite = numbers.filter(Number.isFinite).map(Math.abs);
  const largest = finite.reduce((a, b) => Math.max(a, b), 0);
  const smallest = finite
    .filter((value) => value > 0)
    .reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  if (finite.every(Number.isInteger) && largest < 1e9)
    return (value) => (Number.isFinite(value) ? `${value}.` : name(value));
  if (largest >= 1e8 || smallest < 1e-4)
    return (value) => (Number.isFinite(value) ? value.toExponential(4) : name(value));
  return (value) => (Number.isFinite(value) ? value.toFixed(4) : name(value));
}

function name(value: number): string {
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

function shown(length: number, short: boolean): (number | "...")[] {
  const all = Array.from({ length }, (_, i) => i);
  if (!short || length <= 2 * edgeItems) return all;
  return [...all.slice(0, edgeItems), "...", ...all.slice(-edgeItems)];
}

/** The elements that are shown, in order, as text. */
function texts(values: readonly (number | bigint)[], dtype: string): string[] {
  if (dtype === "bool") return values.map((value) => (value ? "true" : "false"));
  if (!dtype.startsWith("float") && dtype !== "bfloat16") return values.map(String);
  const numbers = values.map((value) => numberOf(value, dtype));
  return numbers.map(formatterFor(numbers));
}

type Leaf = (i: number) => string;

/** Brackets, commas and line breaks around the elements that are shown. */
function layOut(
  shape: readonly number[],
  offset: number,
  size: number,
  short: boolean,
  leaf: Leaf,
  depth: number,
): string {
  const [first, ...rest] = shape;
  if (first === undefined) return leaf(offset);
  const step = first === 0 ? 0 : size / first;
  const parts = shown(first, short).map((i) =>
    i === "..." ? "..." : layOut(rest, offset + i * step, step, short, leaf, depth + 1),
  );
  const gap = rest.length === 0 ? ", " : `,${"\n".repeat(rest.length)}${" ".repeat(depth + 1)}`;
  return `[${parts.join(gap)}]`;
}

function valuesOf(tensor: Tensor): string {
  const elements = tensor.toTypedArray() as ArrayLike<number | bigint>;
  const short = elements.length > mostPrinted;
  const lead = "tensor(".length;
  const write = (leaf: Leaf): string => layOut(tensor.shape, 0, elements.length, short, leaf, lead);
  const places: number[] = [];
  write((i) => `${places.push(i)}`);
  const all = texts(
    places.map((i) => elements[i] as number | bigint),
    tensor.dtype,
  );
  const width = all.reduce((most, text) => Math.max(most, text.length), 0);
  let next = 0;
  return write(() => (all[next++] as string).padStart(width));
}

/** Elements of sparse, quantised, complex and meta tensors cannot be had as numbers. */
function valuesOrDots(tensor: Tensor): string {
  try {
    return valuesOf(tensor);
  } catch (cause) {
    if (cause instanceof EngineError) return "...";
    throw cause;
  }
}

/**
 * As PyTorch prints: aligned columns, long dimensions cut in the middle, then dtype, shape, device where it is not the
 * CPU, and whether gradients are recorded.
 */
export function formatTensor(tensor: Tensor): string {
  const { shape, dtype, device, requiresGrad } = tensor;
  const where = device === "cpu" ? "" : `, ${device}`;
  const recorded = requiresGrad ? ", requiresGrad" : "";
  return `tensor(${valuesOrDots(tensor)}, ${dtype} [${shape.join(", ")}]${where}${recorded})`;
}
