import { type GeneratorHandle, tensorOp } from "./door.js";
import { DTYPES, type DType, dtypeOf, isDType, type TypedArray } from "./dtype.js";
import { check, EngineError } from "./errors.js";
import { native } from "./native.js";
import type { Nested } from "./print.js";
import { runSync } from "./scope.js";
import { type Device, Tensor } from "./tensor.js";

export interface TensorOptions {
  /** float32 unless told. */
  readonly dtype?: DType | undefined;
  /** "cpu", or what {@link onDevice} says, unless told. */
  readonly device?: Device | undefined;
  readonly requiresGrad?: boolean | undefined;
}

export interface RandomOptions extends TensorOptions {
  /** Stream to draw from; the process's default stream unless told. */
  readonly generator?: GeneratorHandle | undefined;
}

export type NestedInput = number | bigint | boolean | readonly NestedInput[];

let defaultDevice: Device = "cpu";

/**
 * Runs `body` with another device for tensors that it makes without naming one, as PyTorch's `with torch.device(...)`.
 * On "meta" a network is built in no time and without memory, to look at its shapes. Nests; the device before comes back
 * when `body` ends or throws.
 * @throws EngineError BAD_ARGUMENT for what names no device; SCOPE_ASYNC when `body` returns a promise.
 */
export function onDevice<T>(device: Device, body: () => T): T {
  check(
    typeof device === "string" && /^(cpu|meta|cuda(:\d+)?)$/.test(device),
    () => `onDevice: expected cpu, meta, cuda or cuda:N, got ${JSON.stringify(device)}`,
  );
  const before = defaultDevice;
  defaultDevice = device;
  try {
    return runSync("onDevice", body);
  } finally {
    defaultDevice = before;
  }
}

function finish(made: Tensor, options: TensorOptions): Tensor {
  if (options.requiresGrad) made.requiresGrad = true;
  return made;
}

function named(options: TensorOptions, dtype: DType = "float32"): { dtype: DType; device: Device } {
  return { dtype: options.dtype ?? dtype, device: options.device ?? defaultDevice };
}

function checkShape(what: string, shape: readonly number[]): void {
  check(
    Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0),
    () =>
      `${what}: expected a shape, an array of non-negative integers, got ${Array.isArray(shape) ? `[${shape.join(", ")}]` : String(shape)}`,
  );
}

function shapeOf(data: NestedInput): number[] {
  const shape: number[] = [];
  let level: NestedInput = data;
  while (Array.isArray(level)) {
    shape.push(level.length);
    level = level[0] as NestedInput;
    if (level === undefined) break;
  }
  return shape;
}

type Leaf = number | bigint | boolean;

function isLeaf(data: unknown): data is Leaf {
  return typeof data === "number" || typeof data === "bigint" || typeof data === "boolean";
}

function flatten(data: NestedInput, shape: readonly number[], depth: number, out: Leaf[]): void {
  const size = shape[depth];
  if (size === undefined) {
    if (!isLeaf(data)) throw ragged(shape, data);
    out.push(data);
    return;
  }
  if (!Array.isArray(data) || data.length !== size) throw ragged(shape, data);
  for (const element of data) flatten(element as NestedInput, shape, depth + 1, out);
}

function ragged(shape: readonly number[], got: unknown): EngineError {
  const found = Array.isArray(got)
    ? `a list of ${got.length} among them`
    : `${typeof got === "string" ? JSON.stringify(got) : String(got)} among them`;
  return new EngineError(
    "BAD_ARGUMENT",
    `tensor: expected numbers nested evenly as the first row suggests ([${shape.join(", ")}]), got ${found}`,
  );
}

function isTypedArray(data: unknown): data is TypedArray {
  return ArrayBuffer.isView(data) && !(data instanceof DataView);
}

function dtypeOfLeaf(leaf: Leaf | undefined): DType {
  return typeof leaf === "boolean" ? "bool" : typeof leaf === "bigint" ? "int64" : "float32";
}

function toInt64(leaf: Leaf): bigint {
  check(
    typeof leaf !== "number" || Number.isSafeInteger(leaf),
    () => `tensor: expected integers beside bigints, got ${leaf}`,
  );
  return BigInt(leaf);
}

/**
 * A tensor of numbers, bigints or booleans nested as deep as it has dimensions, or of a typed array (one dimension).
 * float32 unless told; booleans give "bool", bigints "int64", typed arrays their own type.
 */
export function tensor(data: NestedInput | TypedArray, options: TensorOptions = {}): Tensor {
  if (isTypedArray(data)) return fromTypedArray(data, [data.length], options);
  const shape = shapeOf(data);
  const flat: Leaf[] = [];
  flatten(data, shape, 0, flat);
  const dtype = options.dtype ?? dtypeOfLeaf(flat[0]);
  if (flat.some((leaf) => typeof leaf === "bigint"))
    return fromTypedArray(BigInt64Array.from(flat, toInt64), shape, { ...options, dtype });
  // float64 holds every number exactly; libtorch then rounds as it does everywhere.
  return fromTypedArray(Float64Array.from(flat, Number), shape, { ...options, dtype });
}

/**
 * A tensor of `shape` holding a copy of a typed array. A Uint16Array is read as the bits of float16 or bfloat16,
 * whichever `dtype` says; other arrays are converted when `dtype` differs from their own type.
 */
export function fromTypedArray(
  data: TypedArray,
  shape: readonly number[],
  options: TensorOptions = {},
): Tensor {
  checkShape("fromTypedArray", shape);
  const own = data instanceof Uint16Array ? options.dtype : dtypeOf(data);
  const wanted = options.dtype ?? own;
  check(own !== undefined && isDType(own) && DTYPES[own].bytes === data.BYTES_PER_ELEMENT, () =>
    data instanceof Uint16Array
      ? `fromTypedArray: a Uint16Array holds the bits of float16 or bfloat16; say which by dtype, got ${options.dtype}`
      : `fromTypedArray: expected a typed array of a tensor's dtype, got ${data?.constructor?.name ?? typeof data}`,
  );
  const count = shape.reduce((product, size) => product * size, 1);
  check(
    count === data.length,
    () => `fromTypedArray: expected ${count} elements for shape [${shape.join(", ")}], got ${data.length}`,
  );
  // A bool is one byte, 0 or 1; Uint8Array data may hold more.
  const made = new Tensor(native.fromBytes(unshared(data), shape, own));
  const { dtype, device } = named(options, wanted);
  if (dtype === own && device === "cpu") return finish(made, options);
  const moved = to(made, { dtype, device });
  made.free();
  return finish(moved, options);
}

/** Node-API does not look into shared memory. */
function unshared(data: TypedArray): TypedArray {
  return data.buffer instanceof ArrayBuffer ? data : data.slice();
}

const toCopy = tensorOp("aten::_to_copy");

/** A copy of the tensor with another dtype or device. */
function to(source: Tensor, options: { dtype: DType; device: Device }): Tensor {
  return toCopy(source, options);
}

const emptyOp = tensorOp("aten::empty.memory_format");
const zerosOp = tensorOp("aten::zeros");
const onesOp = tensorOp("aten::ones");
const fullOp = tensorOp("aten::full");
const arangeOp = tensorOp("aten::arange.start_step");
const linspaceOp = tensorOp("aten::linspace");
const randOp = tensorOp("aten::rand.generator");
const randnOp = tensorOp("aten::randn.generator");
const randintOp = tensorOp("aten::randint.low_generator");

/** Memory as it comes: every element must be written before it is read. */
export function empty(shape: readonly number[], options: TensorOptions = {}): Tensor {
  checkShape("empty", shape);
  return finish(emptyOp(shape, named(options)), options);
}

export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  checkShape("zeros", shape);
  return finish(zerosOp(shape, named(options)), options);
}

export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  checkShape("ones", shape);
  return finish(onesOp(shape, named(options)), options);
}

export function full(shape: readonly number[], value: number, options: TensorOptions = {}): Tensor {
  checkShape("full", shape);
  return finish(fullOp(shape, value, named(options)), options);
}

/** Numbers from `start` to below `end` by `step`; with one argument from 0. int64 when all are whole numbers and no dtype is given. */
export function arange(start: number, end?: number, step = 1, options: TensorOptions = {}): Tensor {
  const [first, last] = end === undefined ? [0, start] : [start, end];
  const dtype = [first, last, step].every(Number.isInteger) ? "int64" : "float32";
  return finish(arangeOp(first, last, step, named(options, dtype)), options);
}

/** `steps` evenly spaced numbers from `start` to `end`, both included. */
export function linspace(start: number, end: number, steps: number, options: TensorOptions = {}): Tensor {
  return finish(linspaceOp(start, end, steps, named(options)), options);
}

/** Uniform in [0, 1). */
export function rand(shape: readonly number[], options: RandomOptions = {}): Tensor {
  checkShape("rand", shape);
  return finish(randOp(shape, { generator: options.generator ?? null, ...named(options) }), options);
}

/** Standard normal. */
export function randn(shape: readonly number[], options: RandomOptions = {}): Tensor {
  checkShape("randn", shape);
  return finish(randnOp(shape, { generator: options.generator ?? null, ...named(options) }), options);
}

/** Whole numbers in [low, high), int64 unless told. */
export function randint(
  low: number,
  high: number,
  shape: readonly number[],
  options: RandomOptions = {},
): Tensor {
  checkShape("randint", shape);
  return finish(
    randintOp(low, high, shape, { generator: options.generator ?? null, ...named(options, "int64") }),
    options,
  );
}

export type { Nested };
