import { EngineError, engineError } from "./errors.js";
import { guardOf } from "./guards.js";
import { loadError, native, type ResolvedOperator, type Schema } from "./native.js";
import { Tensor } from "./tensor.js";
import "./warnings.js";
import { Tag, wire } from "./wire.js";

/** A stream of random numbers, as operators take it; see random.ts. */
export abstract class GeneratorHandle {
  /** @internal */
  abstract readonly handle: number;
}

/** A value that JavaScript cannot look into, only pass on to another operator. */
export class Opaque {
  /** @internal */
  constructor(readonly handle: number) {
    opaqueRegistry.register(this, handle);
  }
}
const opaqueRegistry = new FinalizationRegistry<number>((handle) => native.freeOpaque(handle));

export type OpValue =
  | Tensor
  | GeneratorHandle
  | Opaque
  | number
  | bigint
  | boolean
  | string
  | null
  | undefined
  | readonly OpValue[];

/** Named arguments of an operator, by the schema's names; after the positional ones. */
export interface OpOptions {
  readonly [argument: string]: OpValue;
}

export type OpResult = Tensor | Opaque | number | bigint | boolean | string | null | OpResult[];

/** An operator of libtorch, found by name. */
export interface Op {
  (...values: (OpValue | OpOptions)[]): OpResult;
  readonly schema: Schema;
}

/** Sees every call that passes the door; see trace.ts. */
export interface Recorder {
  record(name: string, schema: Schema, values: readonly OpValue[], result: OpResult): void;
}

let recorder: Recorder | null = null;

/** Sets who sees every call of this thread, or null for nobody. Returns the one before. */
export function setRecorder(next: Recorder | null): Recorder | null {
  const before = recorder;
  recorder = next;
  return before;
}

const deepest = 8;

class Unencodable extends Error {}

function putNumbers(values: readonly OpValue[]): boolean {
  const start = wire.at;
  wire.reserve(values.length + 2);
  wire.cells[wire.at++] = Tag.NumberList;
  wire.cells[wire.at++] = values.length;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value !== "number") {
      wire.at = start;
      return false;
    }
    wire.cells[wire.at++] = value;
  }
  return true;
}

function putList(values: readonly OpValue[], depth: number): void {
  if (depth > deepest) throw new Unencodable("lists nested too deeply");
  if (values.length > 0 && typeof values[0] === "number" && putNumbers(values)) return;
  wire.reserve(2);
  wire.cells[wire.at++] = Tag.List;
  wire.cells[wire.at++] = values.length;
  for (let i = 0; i < values.length; i++) put(values[i], depth + 1);
}

function putObject(value: object, depth: number): void {
  if (Array.isArray(value)) {
    putList(value as readonly OpValue[], depth);
  } else if (value instanceof GeneratorHandle) {
    wire.cells[wire.at++] = Tag.Generator;
    wire.cells[wire.at++] = value.handle;
  } else if (value instanceof Opaque) {
    wire.cells[wire.at++] = Tag.Opaque;
    wire.cells[wire.at++] = value.handle;
  } else if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    putList(Array.from(value as unknown as ArrayLike<number | bigint>), depth);
  } else {
    throw new Unencodable(`got ${value.constructor?.name ?? "an object"}`);
  }
}

function put(value: OpValue, depth: number): void {
  wire.reserve(2);
  if (value instanceof Tensor) {
    if (!(value.handle >= 0)) throw new EngineError("FREED", "the tensor has been freed");
    wire.cells[wire.at++] = Tag.Tensor;
    wire.cells[wire.at++] = value.handle;
    return;
  }
  switch (typeof value) {
    case "number":
      wire.cells[wire.at++] = Tag.Number;
      wire.cells[wire.at++] = value;
      return;
    case "boolean":
      wire.cells[wire.at++] = Tag.Bool;
      wire.cells[wire.at++] = value ? 1 : 0;
      return;
    case "string":
      wire.putText(value);
      return;
    case "undefined":
      wire.cells[wire.at++] = Tag.Missing;
      return;
    case "bigint":
      if (value !== BigInt.asIntN(64, value)) throw new Unencodable(`${value} does not fit 64 bits`);
      wire.cells[wire.at++] = Tag.BigInt;
      wire.integers[wire.at++] = value;
      return;
    case "object":
      if (value !== null) putObject(value, depth);
      else wire.cells[wire.at++] = Tag.None;
      return;
    default:
      throw new Unencodable(`got a ${typeof value}`);
  }
}

function take(): OpResult {
  const tag = wire.cells[wire.at++];
  switch (tag) {
    case Tag.None:
      return null;
    case Tag.Tensor:
      return new Tensor(wire.cells[wire.at++] as number);
    case Tag.Number:
      return wire.cells[wire.at++] as number;
    case Tag.Bool:
      return wire.cells[wire.at++] !== 0;
    case Tag.BigInt:
      return wire.integers[wire.at++] as bigint;
    case Tag.String:
      return wire.takeText();
    case Tag.List: {
      const count = wire.cells[wire.at++] as number;
      return Array.from({ length: count }, take);
    }
    default:
      return new Opaque(wire.cells[wire.at++] as number);
  }
}

const Result = { undefined: -1, inBuffer: -2, bufferReplaced: -3, firstArgument: -4 } as const;

function receive(status: number, values: readonly OpValue[]): OpResult {
  if (status >= 0) return new Tensor(status);
  if (status === Result.undefined) return null;
  if (status === Result.firstArgument) return values[0] as Tensor;
  if (status === Result.bufferReplaced) wire.attach(native.buffer());
  wire.at = 0;
  const results = Array.from({ length: take() as number }, take);
  return results.length === 1 ? (results[0] as OpResult) : results.length === 0 ? null : results;
}

function brief(value: unknown): string {
  // Not what merely inherits from a tensor: it has no dtype to tell.
  if (value instanceof Tensor && Object.hasOwn(value, "handle"))
    return value.isFreed ? "a freed tensor" : `${value.dtype} [${value.shape.join(", ")}] on ${value.device}`;
  if (Array.isArray(value)) {
    const few = value.slice(0, 6).map(brief);
    return `[${few.join(", ")}${value.length > few.length ? ", ..." : ""}]`;
  }
  if (typeof value === "string")
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  if (typeof value === "object" && value !== null) return value.constructor?.name ?? "object";
  return String(value);
}

/** libtorch's message, then every argument by its name, so that the reader sees which one does not fit. */
function explain(operator: ResolvedOperator, values: readonly unknown[], cause: unknown): EngineError {
  const name = nameOf(operator);
  const { code } = cause as { code?: string };
  if (code !== "OP_FAILED" && code !== "OUT_OF_MEMORY") return engineError(cause, name);
  const lines = values.flatMap((value, i) =>
    value === undefined ? [] : [`\n  ${operator.arguments[i]?.name ?? i}: ${brief(value)}`],
  );
  return engineError(cause, name, lines.join(""));
}

function nameOf(operator: Schema): string {
  return operator.overload === "" ? operator.name : `${operator.name}.${operator.overload}`;
}

function isOptions(value: unknown): value is OpOptions {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Positional values and named options in the order of the schema. */
function arrange(operator: ResolvedOperator, given: readonly (OpValue | OpOptions)[]): OpValue[] {
  const last = given[given.length - 1];
  if (!isOptions(last)) {
    checkPositional(operator, given.length);
    return given as OpValue[];
  }
  const values = given.slice(0, -1) as OpValue[];
  checkPositional(operator, values.length);
  for (const [name, value] of Object.entries(last)) {
    const index = operator.arguments.findIndex((argument) => argument.name === name);
    if (index < 0) {
      const known = operator.arguments.map((argument) => argument.name).join(", ");
      throw new EngineError("BAD_ARGUMENT", `${nameOf(operator)}: no argument "${name}"; it has: ${known}`);
    }
    if (index < values.length && values[index] !== undefined) {
      throw new EngineError("BAD_ARGUMENT", `${nameOf(operator)}: argument "${name}" was given twice`);
    }
    while (values.length < index) values.push(undefined);
    values[index] = value;
  }
  return values;
}

function checkPositional(operator: ResolvedOperator, count: number): void {
  if (count <= operator.arguments.length) return;
  throw new EngineError(
    "BAD_ARGUMENT",
    `${nameOf(operator)}: expected at most ${operator.arguments.length} arguments, got ${count}`,
  );
}

function encode(operator: ResolvedOperator, values: readonly OpValue[]): void {
  wire.at = 0;
  let i = 0;
  try {
    for (; i < values.length; i++) put(values[i], 0);
  } catch (cause) {
    if (!(cause instanceof Unencodable) && !(cause instanceof EngineError)) throw cause;
    const argument = operator.arguments[i];
    const code = cause instanceof EngineError ? cause.code : "BAD_ARGUMENT";
    const expected = cause instanceof Unencodable ? `expected ${argument?.type}, ` : "";
    throw new EngineError(
      code,
      `${nameOf(operator)}: argument "${argument?.name}": ${expected}${cause.message}`,
      { cause },
    );
  }
}

function invoke(operator: ResolvedOperator, values: readonly OpValue[]): OpResult {
  encode(operator, values);
  let status: number;
  try {
    status = native.call(operator.id, values.length);
  } catch (cause) {
    throw explain(operator, values, cause);
  }
  const result = receive(status, values);
  if (recorder !== null) recorder.record(nameOf(operator), operator, values, result);
  return result;
}

const resolved = new Map<string, Op>();

/** Whether this libtorch has the operator: `hasOp("aten::conv2d")`. */
export function hasOp(name: string): boolean {
  return find(name) !== null;
}

/**
 * The operator of that full name: `op("aten::add.Tensor")`. Called with the schema's arguments in order, then, if any,
 * one plain object of arguments by name: `op("aten::add.Tensor")(x, y, { alpha: 2 })`. Missing and `undefined`
 * arguments take the schema's defaults. Where the schema says so, a number stands for a list (`int[2]`), and strings
 * name dtypes, devices and memory formats. In-place operators return their first argument itself.
 *
 * @throws EngineError NO_OPERATOR when libtorch has none of that name; the operator itself throws BAD_ARGUMENT, FREED,
 * OP_FAILED or OUT_OF_MEMORY, and NO_LIBTORCH where the addon is not there.
 */
export function op(name: string): Op {
  const found = find(name);
  if (found === null) throw noOperator(name);
  return found;
}

function find(name: string): Op | null {
  const known = resolved.get(name);
  if (known !== undefined) return known;
  if (typeof name !== "string")
    throw new EngineError(
      "BAD_ARGUMENT",
      `op: expected a name such as "aten::add.Tensor", got ${brief(name)}`,
    );
  if (loadError !== null) return absentOp(loadError);
  const operator = native.resolve(name);
  if (operator === null) return null;
  const made = Object.assign(guarded(operator), { schema: operator as Schema });
  resolved.set(name, made);
  return made;
}

/** Stands for every operator where there is no addon: modules look theirs up when they are imported. */
function absentOp(reason: EngineError): Op {
  const refuse = (): never => {
    throw reason;
  };
  return Object.defineProperty(refuse, "schema", { get: refuse }) as unknown as Op;
}

function guarded(operator: ResolvedOperator): (...given: (OpValue | OpOptions)[]) => OpResult {
  const guard = guardOf(nameOf(operator), operator);
  if (guard === undefined) return (...given) => invoke(operator, arrange(operator, given));
  return (...given) => {
    const values = arrange(operator, given);
    guard(values);
    return invoke(operator, values);
  };
}

function noOperator(name: string): EngineError {
  const [base] = name.split(".");
  const others = native.operatorNames().filter((other) => other === base || other.startsWith(`${base}.`));
  const hint = others.length > 0 ? `; it has ${others.join(", ")}` : "";
  return new EngineError("NO_OPERATOR", `libtorch ${native.version()} has no operator "${name}"${hint}`);
}

/** As {@link op}, for operators whose one result is a tensor. */
export function tensorOp(name: string): (...values: (OpValue | OpOptions)[]) => Tensor {
  return op(name) as (...values: (OpValue | OpOptions)[]) => Tensor;
}
