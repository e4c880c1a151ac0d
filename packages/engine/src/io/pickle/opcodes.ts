import type { PickleMachine } from "./machine.js";
import { kindOf, quoted } from "./objects.js";

type Opcode = (machine: PickleMachine) => void;

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const longestName = 1000;
const longestInteger = 1024; // bytes
const signBit = 0x80;

function text(m: PickleMachine, bytes: Uint8Array): string {
  try {
    return strictText.decode(bytes);
  } catch {
    return m.fail("expected UTF-8 text");
  }
}

/** Text of Python 2, which does not tell text from bytes: what is no UTF-8 is bytes. */
function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  try {
    return strictText.decode(bytes);
  } catch {
    return bytes;
  }
}

function line(m: PickleMachine): string {
  const bytes = m.cursor.line(longestName);
  if (bytes === undefined) {
    if (m.cursor.left <= longestName) m.cursor.need(m.cursor.left + 1);
    m.fail(`expected a line of at most ${longestName} bytes`);
  }
  return text(m, bytes);
}

const number = (value: bigint): number | bigint =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value;

/** Little-endian two's complement. */
function integer(m: PickleMachine, length: number): number | bigint {
  if (length > longestInteger || length < 0)
    m.fail(`expected an integer of at most ${longestInteger} bytes, got ${length}`);
  const bytes = m.cursor.bytes(length);
  if (length === 0) return 0;
  const value = BigInt(`0x${Buffer.from(bytes.reverse()).toString("hex")}`);
  return number((bytes[0] as number) >= signBit ? value - (1n << BigInt(8 * length)) : value);
}

/** Python 2 writes integers of 33 to 64 bits so, and 00 and 01 are booleans. */
function decimal(m: PickleMachine, literal: string): number | bigint | boolean {
  if (literal === "00" || literal === "01") return literal === "01";
  if (!/^[+-]?\d{1,1000}L?$/.test(literal)) m.fail(`expected an integer, got ${quoted(literal)}`);
  const digits = literal.replace(/^[+-]|L$/g, "");
  return number(literal.startsWith("-") ? -BigInt(digits) : BigInt(digits));
}

function float(m: PickleMachine): number {
  const literal = line(m);
  const value = Number(literal);
  if (literal.trim() === "" || Number.isNaN(value)) m.fail(`expected a number, got ${quoted(literal)}`);
  return value;
}

const sized =
  (length: (m: PickleMachine) => number, make: (m: PickleMachine, bytes: Uint8Array) => unknown): Opcode =>
  (m) =>
    m.push(make(m, m.cursor.bytes(m.length(length(m)))));

const uint8 = (m: PickleMachine): number => m.cursor.uint8();
const uint32 = (m: PickleMachine): number => m.cursor.uint32();
const uint64 = (m: PickleMachine): number => m.cursor.uint64();
const int32 = (m: PickleMachine): number => m.cursor.int32();
const raw = (_m: PickleMachine, bytes: Uint8Array): Uint8Array => bytes;
const legacy = (_m: PickleMachine, bytes: Uint8Array): string | Uint8Array => textOrBytes(bytes);

const tuple =
  (size: number): Opcode =>
  (m) => {
    const elements = Array.from({ length: size }, () => m.pop());
    m.pushObject(elements.reverse());
  };

function dictOf(m: PickleMachine, flat: readonly unknown[]): void {
  const dict = new Map<unknown, unknown>();
  m.setItems(dict, flat);
  m.pushObject(dict);
}

function named(m: PickleMachine, module: unknown, name: unknown): void {
  if (typeof module !== "string" || typeof name !== "string")
    m.fail(`expected the name of a class, got ${kindOf(module)} and ${kindOf(name)}`);
  if (module.length + name.length > longestName)
    m.fail(`expected the name of a class, got ${module.length + name.length} letters`);
  m.push(m.host.global(module, name, m));
}

function call(m: PickleMachine, callable: unknown, args: unknown): void {
  if (!Array.isArray(args)) m.fail(`expected a tuple of arguments, got ${kindOf(args)}`);
  m.budget.count("objects");
  m.push(m.host.call(callable, args, m));
}

/** By code; the names are those of Python's pickletools. */
const table: Readonly<Record<string, readonly [code: number, execute: Opcode]>> = {
  PROTO: [0x80, (m) => void (m.cursor.uint8() > 5 && m.fail("expected a pickle protocol of at most 5"))],
  FRAME: [0x95, (m) => void m.length(m.cursor.uint64())],

  NONE: [0x4e, (m) => m.push(null)],
  NEWTRUE: [0x88, (m) => m.push(true)],
  NEWFALSE: [0x89, (m) => m.push(false)],
  INT: [0x49, (m) => m.push(decimal(m, line(m)))],
  BININT: [0x4a, (m) => m.push(m.cursor.int32())],
  BININT1: [0x4b, (m) => m.push(m.cursor.uint8())],
  BININT2: [0x4d, (m) => m.push(m.cursor.uint16())],
  LONG: [0x4c, (m) => m.push(decimal(m, line(m)))],
  LONG1: [0x8a, (m) => m.push(integer(m, m.cursor.uint8()))],
  LONG4: [0x8b, (m) => m.push(integer(m, m.cursor.int32()))],
  FLOAT: [0x46, (m) => m.push(float(m))],
  BINFLOAT: [0x47, (m) => m.push(m.cursor.float64())],

  BINUNICODE: [0x58, sized(uint32, text)],
  SHORT_BINUNICODE: [0x8c, sized(uint8, text)],
  BINUNICODE8: [0x8d, sized(uint64, text)],
  BINSTRING: [0x54, sized(int32, legacy)],
  SHORT_BINSTRING: [0x55, sized(uint8, legacy)],
  BINBYTES: [0x42, sized(uint32, raw)],
  SHORT_BINBYTES: [0x43, sized(uint8, raw)],
  BINBYTES8: [0x8e, sized(uint64, raw)],
  BYTEARRAY8: [0x96, sized(uint64, raw)],

  EMPTY_TUPLE: [0x29, (m) => m.pushObject([])],
  TUPLE1: [0x85, tuple(1)],
  TUPLE2: [0x86, tuple(2)],
  TUPLE3: [0x87, tuple(3)],
  TUPLE: [0x74, (m) => m.pushObject(m.popMark())],
  EMPTY_LIST: [0x5d, (m) => m.pushObject([])],
  LIST: [0x6c, (m) => m.pushObject(m.popMark())],
  APPEND: [0x61, (m) => appendTo(m, [m.pop()])],
  APPENDS: [0x65, (m) => appendTo(m, m.popMark())],
  EMPTY_SET: [0x8f, (m) => m.pushObject(new Set())],
  ADDITEMS: [0x90, (m) => appendTo(m, m.popMark())],
  FROZENSET: [0x91, (m) => frozenSet(m)],
  EMPTY_DICT: [0x7d, (m) => m.pushObject(new Map())],
  DICT: [0x64, (m) => dictOf(m, m.popMark())],
  SETITEM: [0x73, (m) => setItem(m)],
  SETITEMS: [0x75, (m) => setItems(m, m.popMark())],

  MARK: [0x28, (m) => m.mark()],
  POP: [0x30, (m) => m.drop()],
  POP_MARK: [0x31, (m) => void m.popMark()],
  DUP: [0x32, (m) => m.push(m.top())],
  BINPUT: [0x71, (m) => m.remember(m.cursor.uint8())],
  LONG_BINPUT: [0x72, (m) => m.remember(m.cursor.uint32())],
  MEMOIZE: [0x94, (m) => m.remember()],
  BINGET: [0x68, (m) => m.recall(m.cursor.uint8())],
  LONG_BINGET: [0x6a, (m) => m.recall(m.cursor.uint32())],

  GLOBAL: [0x63, (m) => named(m, line(m), line(m))],
  STACK_GLOBAL: [0x93, (m) => stackGlobal(m)],
  REDUCE: [0x52, (m) => reduce(m)],
  NEWOBJ: [0x81, (m) => reduce(m)],
  NEWOBJ_EX: [0x92, (m) => newObjectEx(m)],
  BUILD: [0x62, (m) => build(m)],
  BINPERSID: [0x51, (m) => m.push(m.host.persistent(m.pop(), m))],
};

function appendTo(m: PickleMachine, values: readonly unknown[]): void {
  m.append(m.top(), values);
}

function frozenSet(m: PickleMachine): void {
  const set = new Set<unknown>();
  m.append(set, m.popMark());
  m.pushObject(set);
}

function setItems(m: PickleMachine, flat: readonly unknown[]): void {
  m.setItems(m.top(), flat);
}

function setItem(m: PickleMachine): void {
  const value = m.pop();
  const key = m.pop();
  setItems(m, [key, value]);
}

function stackGlobal(m: PickleMachine): void {
  const name = m.pop();
  named(m, m.pop(), name);
}

/** Calling a class is making an object: REDUCE and NEWOBJ differ in Python alone. */
function reduce(m: PickleMachine): void {
  const args = m.pop();
  call(m, m.pop(), args);
}

function newObjectEx(m: PickleMachine): void {
  const named = m.pop();
  const args = m.pop();
  if (!(named instanceof Map) || !Array.isArray(args)) m.fail("expected a tuple and a dict of arguments");
  m.budget.copy(args.length);
  call(m, m.pop(), named.size === 0 ? args : [...args, named]);
}

function build(m: PickleMachine): void {
  const state = m.pop();
  m.host.build(m.top(), state, m);
}

export const opcodes: readonly (Opcode | undefined)[] = Array.from(
  { length: 256 },
  (_, code) => Object.values(table).find(([other]) => other === code)?.[1],
);
