// Values of Python's own classes, and of NumPy, that checkpoints hold.
import type { DType } from "../../dtype.js";
import type { PickleMachine } from "./machine.js";
import { type Described, kindOf } from "./objects.js";

/** Thrown by a builder for a value that this reader has no form for. */
export class Unsupported extends Error {}

/** Makes the value of a call. */
export type Builder = (args: readonly unknown[], machine: PickleMachine) => unknown;

/** An element type of NumPy: "f4", "i8" ...; `bigEndian` comes with its state. */
export class NumpyDType implements Described {
  bigEndian = false;
  constructor(readonly code: string) {}

  describe(): string {
    return "a numpy dtype";
  }
}

/** An array of NumPy, which arrives empty and gets its contents as its state. */
export class NumpyArray implements Described {
  shape: readonly number[] = [];
  dtype: DType = "uint8";
  /** Whether the first dimension is the dense one. */
  fortran = false;
  /** Undefined until the state has come. */
  bytes: Uint8Array | undefined = undefined;
  /** What stands for the array, where no tensor can hold its elements and that is to be ignored. */
  unsupported: unknown = undefined;

  describe(): string {
    return `a numpy array of ${this.dtype} [${this.shape.join(", ")}]`;
  }
}

const dtypes: ReadonlyMap<string, readonly [DType, bytes: number]> = new Map([
  ["f2", ["float16", 2]],
  ["f4", ["float32", 4]],
  ["f8", ["float64", 8]],
  ["i1", ["int8", 1]],
  ["i2", ["int16", 2]],
  ["i4", ["int32", 4]],
  ["i8", ["int64", 8]],
  ["u1", ["uint8", 1]],
  ["b1", ["bool", 1]],
]);

type ReadScalar = readonly [
  bytes: number,
  read: (view: DataView, little: boolean) => number | bigint | boolean,
];
const scalars: ReadonlyMap<string, ReadScalar> = new Map<string, ReadScalar>([
  ["f4", [4, (v, l) => v.getFloat32(0, l)]],
  ["f8", [8, (v, l) => v.getFloat64(0, l)]],
  ["i1", [1, (v) => v.getInt8(0)]],
  ["i2", [2, (v, l) => v.getInt16(0, l)]],
  ["i4", [4, (v, l) => v.getInt32(0, l)]],
  ["i8", [8, (v, l) => v.getBigInt64(0, l)]],
  ["u1", [1, (v) => v.getUint8(0)]],
  ["u2", [2, (v, l) => v.getUint16(0, l)]],
  ["u4", [4, (v, l) => v.getUint32(0, l)]],
  ["u8", [8, (v, l) => v.getBigUint64(0, l)]],
  ["b1", [1, (v) => v.getUint8(0) !== 0]],
]);

function bytesOf(value: unknown, m: PickleMachine): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value !== "string") return m.fail(`expected bytes, got ${kindOf(value)}`);
  m.budget.copy(3 * value.length);
  return new TextEncoder().encode(value); // Python 2: bytes that happened to be text
}

/** How Python 3 writes bytes in protocol 2: text of the codes 0 to 255. */
const encode: Builder = ([letters, encoding], m) => {
  if (typeof letters !== "string" || (encoding !== "latin1" && encoding !== "latin-1"))
    throw new Unsupported(`text encoded as ${kindOf(encoding)}`);
  m.budget.copy(letters.length);
  const bytes = Buffer.from(letters, "latin1");
  if (bytes.toString("latin1") !== letters) m.fail("expected letters below U+0100");
  return new Uint8Array(bytes);
};

const numpyScalar: Builder = ([dtype, contents], m) => {
  if (!(dtype instanceof NumpyDType)) return m.fail(`numpy scalar: expected a dtype, got ${kindOf(dtype)}`);
  const [size, read] = scalars.get(dtype.code) ?? [];
  if (size === undefined || read === undefined) throw new Unsupported(`numpy scalars of dtype ${dtype.code}`);
  const bytes = bytesOf(contents, m);
  if (bytes.length !== size)
    m.fail(`numpy scalar: expected ${size} bytes for ${dtype.code}, got ${bytes.length}`);
  const value = read(new DataView(bytes.buffer, bytes.byteOffset, size), !dtype.bigEndian);
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
};

const numpyDType: Builder = ([code], m) => {
  if (typeof code !== "string" || code.length > 100)
    return m.fail(`numpy dtype: expected its code, got ${kindOf(code)}`);
  return new NumpyDType(code.replace(/^[|<=]/, ""));
};

/** State of a dtype: (version, byte order, ...). */
export function buildDType(dtype: NumpyDType, state: unknown, m: PickleMachine): void {
  if (!Array.isArray(state) || typeof state[1] !== "string")
    m.fail(`numpy dtype: expected its state, got ${kindOf(state)}`);
  dtype.bigEndian = state[1] === ">";
}

export function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

const mostDimensions = 64; // as libtorch's iterators

/** A checked copy of a shape (or strides), which a pickle could change afterwards. */
export function sizesOf(value: unknown, what: string, m: PickleMachine): number[] {
  if (!Array.isArray(value) || value.length > mostDimensions || !value.every(isSize))
    return m.fail(`${what}: expected at most ${mostDimensions} non-negative integers, got ${kindOf(value)}`);
  m.budget.copy(value.length);
  return [...value];
}

function fillArray(
  array: NumpyArray,
  [shape, dtype, fortran, contents]: readonly unknown[],
  m: PickleMachine,
): void {
  if (!(dtype instanceof NumpyDType)) m.fail(`numpy array: expected a dtype, got ${kindOf(dtype)}`);
  const [element, size] = dtypes.get(dtype.code) ?? [];
  if (element === undefined || size === undefined || (dtype.bigEndian && size > 1))
    throw new Unsupported(`numpy arrays of ${dtype.bigEndian ? "big-endian " : ""}dtype ${dtype.code}`);
  const bytes = bytesOf(contents, m);
  array.shape = sizesOf(shape, "numpy array", m);
  const wanted = array.shape.reduce((product, extent) => product * extent, size);
  const extent = array.shape.reduce((product, one) => product * Math.max(one, 1), size);
  if (bytes.length !== wanted || !Number.isSafeInteger(extent))
    m.fail(`numpy array: expected ${wanted} bytes for its shape, got ${bytes.length}`);
  Object.assign(array, { dtype: element, fortran: fortran === true, bytes });
}

/** State of an array: (version, shape, dtype, whether in Fortran's order, bytes). */
export function buildArray(array: NumpyArray, state: unknown, m: PickleMachine): void {
  if (!Array.isArray(state)) m.fail(`numpy array: expected its state, got ${kindOf(state)}`);
  fillArray(array, state.length === 5 ? state.slice(1) : state, m);
}

/** Arrays of protocol 5: (bytes, dtype, shape, "C" or "F"). */
const arrayFromBuffer: Builder = ([bytes, dtype, shape, order], m) => {
  const array = new NumpyArray();
  fillArray(array, [shape, dtype, order === "F", bytes], m);
  return array;
};

/** A list, tuple, set, or dict (its keys), as a new array. */
function elementsOf(value: unknown, m: PickleMachine): unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) && !(value instanceof Set) && !(value instanceof Map))
    return m.fail(`expected a list, tuple, set or dict, got ${kindOf(value)}`);
  m.budget.copy(Array.isArray(value) ? value.length : value.size);
  return value instanceof Map ? [...value.keys()] : [...value];
}

const dict: Builder = ([entries], m) => {
  if (entries instanceof Map) {
    m.budget.copy(entries.size);
    for (const key of entries.keys()) m.budget.key(key);
    return new Map(entries);
  }
  const pairs = elementsOf(entries, m);
  const isPair = (pair: unknown): pair is [unknown, unknown] => Array.isArray(pair) && pair.length === 2;
  if (!pairs.every(isPair)) return m.fail("dict: expected pairs of key and value");
  const made = new Map<unknown, unknown>();
  for (const [key, value] of pairs) m.setItem(made, key, value);
  return made;
};

const list: Builder = ([elements], m) => elementsOf(elements, m);
const set: Builder = ([elements], m) => {
  const made = new Set<unknown>();
  m.append(made, elementsOf(elements, m));
  return made;
};

/** bytes and bytearray: of nothing, of bytes, or of text and its encoding. */
const bytes: Builder = (args, m) => {
  if (args.length === 0) return new Uint8Array(0);
  if (typeof args[0] === "string") return encode(args, m);
  if (!(args[0] instanceof Uint8Array)) throw new Unsupported(`bytes of ${kindOf(args[0])}`);
  m.budget.copy(args[0].length);
  return args[0].slice();
};

/** int, float, str and bool of a value that is one already. */
const primitive =
  (...types: string[]): Builder =>
  ([value]) => {
    if (!types.includes(typeof value)) throw new Unsupported(`a conversion of ${kindOf(value)}`);
    return value;
  };

/** By full name, in Python 3's and NumPy 2's spelling. */
export const pythonBuilders: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ["collections.OrderedDict", dict],
  ["collections.Counter", dict],
  ["collections.defaultdict", ([_factory, entries], m) => dict([entries], m)],
  ["builtins.dict", dict],
  ["builtins.list", list],
  ["builtins.tuple", list],
  ["builtins.set", set],
  ["builtins.frozenset", set],
  ["builtins.bytes", bytes],
  ["builtins.bytearray", bytes],
  ["builtins.int", primitive("number", "bigint")],
  ["builtins.float", primitive("number")],
  ["builtins.str", primitive("string")],
  ["builtins.bool", primitive("boolean")],
  ["_codecs.encode", encode],
  ["numpy.dtype", numpyDType],
  ["numpy._core.multiarray.scalar", numpyScalar],
  ["numpy._core.multiarray._reconstruct", () => new NumpyArray()],
  ["numpy._core.numeric._frombuffer", arrayFromBuffer],
]);

/** Classes that stand as arguments and are never made here. */
export const pythonClasses: ReadonlySet<string> = new Set(["builtins.object", "numpy.ndarray"]);

/** One spelling for names that have moved: Python 2's modules, NumPy 1's. */
export function canonical(module: string, name: string): string {
  const moved = module
    .replace(/^__builtin__$/, "builtins")
    .replace(/^copy_reg$/, "copyreg")
    .replace(/^numpy\.core\./, "numpy._core.");
  return `${moved}.${name}`;
}
