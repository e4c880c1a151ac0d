import type { TypedArray } from "./dtype.js";
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

function numbersOf(array: TypedArray, dtype: string): number[] {
  if (dtype === "float16") return Array.from(array as Uint16Array, fromFloat16);
  if (dtype === "bfloat16") return Array.from(array as Uint16Array, fromBfloat16);
  return Array.from(array as ArrayLike<number | bigint>, Number);
}

function build(numbers: readonly number[], shape: readonly number[], offset: number, size: number): Nested {
  const [first, ...rest] = shape;
  if (first === undefined) return numbers[offset] as number;
  const step = first === 0 ? 0 : size / first;
  return Array.from({ length: first }, (_, i) => build(numbers, rest, offset + i * step, step));
}

export function nest(tensor: Tensor): Nested {
  const numbers = numbersOf(tensor.toTypedArray(), tensor.dtype);
  return build(numbers, tensor.shape, 0, numbers.length);
}

const edgeItems = 3;
const mostPrinted = 1000;

function formatterFor(numbers: readonly number[], dtype: string): (value: number) => string {
  if (dtype === "bool") return (value) => (value ? "true" : "false");
  if (!dtype.startsWith("float") && dtype !== "bfloat16") return String;
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

/** As PyTorch prints: aligned columns, long dimensions cut in the middle, dtype, shape and device after the values. */
export function formatTensor(tensor: Tensor): string {
  const { shape, dtype, device } = tensor;
  const numbers = numbersOf(tensor.toTypedArray(), dtype);
  const format = formatterFor(numbers, dtype);
  const short = numbers.length > mostPrinted;

  const visit = (
    dims: readonly number[],
    offset: number,
    size: number,
    leaf: (i: number) => string,
    depth: number,
  ): string => {
    const [first, ...rest] = dims;
    if (first === undefined) return leaf(offset);
    const step = first === 0 ? 0 : size / first;
    const parts = shown(first, short).map((i) =>
      i === "..." ? "..." : visit(rest, offset + i * step, step, leaf, depth + 1),
    );
    const gap = rest.length === 0 ? ", " : `,${"\n".repeat(rest.length)}${" ".repeat(depth + 1)}`;
    return `[${parts.join(gap)}]`;
  };

  let width = 0;
  visit(
    shape,
    0,
    numbers.length,
    (i) => {
      width = Math.max(width, format(numbers[i] as number).length);
      return "";
    },
    0,
  );
  const lead = "tensor(";
  const values = visit(
    shape,
    0,
    numbers.length,
    (i) => format(numbers[i] as number).padStart(width),
    lead.length,
  );
  const where = device === "cpu" ? "" : `, ${device}`;
  return `${lead}${values}, ${dtype} [${shape.join(", ")}]${where})`;
}
