import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { empty } from "../create.js";
import { tensorOp } from "../door.js";
import { DTYPES, type DType } from "../dtype.js";
import { EngineError } from "../errors.js";
import { scope } from "../scope.js";
import type { Device, Tensor } from "../tensor.js";
import { parseHeaderJson } from "./headerJson.js";
import { fromMemory, openFile, readBytes, type Source } from "./source.js";

const toCopy = tensorOp("aten::_to_copy");
const contiguous = tensorOp("aten::contiguous");

/** The format's names of element types (safetensors 0.4). */
const FORMAT_NAMES: Readonly<Record<DType, string>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};
const DTYPE_OF = new Map(Object.entries(FORMAT_NAMES).map(([dtype, name]) => [name, dtype as DType]));

const largestHeader = 100_000_000; // as the reference implementation

/** Where a tensor stands in a file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** First byte in the file, and number of bytes. */
  readonly offset: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

function invalid(source: Source, message: string): EngineError {
  return new EngineError("SAFETENSORS_INVALID", `${source.name}: ${message}`);
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function parseEntry(source: Source, name: string, raw: unknown, dataStart: number): TensorEntry {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    throw invalid(source, `tensor "${name}": expected an object with dtype, shape and data_offsets`);
  }
  const { dtype: format, shape, data_offsets: offsets } = raw as Record<string, unknown>;
  const dtype = typeof format === "string" ? DTYPE_OF.get(format) : undefined;
  if (dtype === undefined) {
    throw invalid(
      source,
      `tensor "${name}": expected a dtype of ${[...DTYPE_OF.keys()].join(", ")}, got ${JSON.stringify(format)}`,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw invalid(
      source,
      `tensor "${name}": expected a shape of non-negative integers, got ${JSON.stringify(shape)}`,
    );
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw invalid(
      source,
      `tensor "${name}": expected data_offsets of two integers, got ${JSON.stringify(offsets)}`,
    );
  }
  const bytes = shape.reduce((product: number, size: number) => product * size, DTYPES[dtype].bytes);
  const [begin, end] = offsets as [number, number];
  if (!Number.isSafeInteger(bytes) || end - begin !== bytes) {
    throw invalid(
      source,
      `tensor "${name}": expected ${bytes} bytes for ${format} [${shape}], data_offsets span ${end - begin}`,
    );
  }
  return { name, dtype, shape: shape as number[], offset: dataStart + begin, bytes };
}

/** The tensors must fill the file from the header's end to its own, without holes and overlaps. */
function checkLayout(source: Source, entries: Iterable<TensorEntry>, dataStart: number): void {
  const sorted = [...entries].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  for (const { name, offset, bytes } of sorted) {
    if (offset !== end) {
      throw invalid(
        source,
        `tensor "${name}": expected its data at ${end - dataStart}, got ${offset - dataStart}: ${offset < end ? "ranges overlap" : "bytes between tensors belong to none"}`,
      );
    }
    end = offset + bytes;
  }
  if (end > source.size) {
    throw new EngineError(
      "FILE_TRUNCATED",
      `${source.name}: expected ${end} bytes by its header, got ${source.size}`,
    );
  }
  if (end < source.size)
    throw invalid(source, `${source.size - end} bytes after the last tensor belong to none`);
}

function parseMetadata(source: Source, raw: unknown): Map<string, string> {
  if (raw === undefined) return new Map();
  if (!(raw instanceof Map) || ![...raw.values()].every((value) => typeof value === "string")) {
    throw invalid(source, "__metadata__: expected an object of strings");
  }
  return raw as Map<string, string>;
}

/** Reads and checks the header alone. */
export function parseHeader(source: Source): SafetensorsHeader {
  if (source.size < 8)
    throw new EngineError("FILE_TRUNCATED", `${source.name}: expected at least 8 bytes, got ${source.size}`);
  const length = Number(new DataView(readBytes(source, 0, 8).buffer).getBigUint64(0, true));
  if (length > largestHeader)
    throw invalid(
      source,
      `expected a header of at most ${largestHeader} bytes, got ${length}: is it a safetensors file?`,
    );
  if (8 + length > source.size) {
    throw new EngineError(
      "FILE_TRUNCATED",
      `${source.name}: the header of ${length} bytes passes the file's end at ${source.size}`,
    );
  }
  const header = parseHeaderJson(readBytes(source, 8, length), (message) =>
    invalid(source, `header: ${message}`),
  );
  const metadata = parseMetadata(source, header.get("__metadata__"));
  header.delete("__metadata__");
  const dataStart = 8 + length;
  const entries = new Map<string, TensorEntry>();
  for (const [name, raw] of header) {
    const plain = raw instanceof Map ? Object.fromEntries(raw) : raw;
    entries.set(name, parseEntry(source, name, plain, dataStart));
  }
  checkLayout(source, entries.values(), dataStart);
  return { entries, metadata };
}

function load(source: Source, entry: TensorEntry, device: Device): Tensor {
  const tensor = empty(entry.shape, { dtype: entry.dtype });
  if (entry.bytes > 0) source.readInto(tensor.shareBytes(), entry.offset);
  return device === "cpu" ? tensor : toCopy(tensor, { device });
}

export interface ReadOptions {
  /** Read only these tensors. */
  readonly names?: readonly string[] | undefined;
  readonly device?: Device | undefined;
}

export interface Safetensors {
  readonly tensors: Map<string, Tensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Reads tensors from any source; see {@link readSafetensors}. */
export function readSafetensorsFrom(source: Source, options: ReadOptions = {}): Safetensors {
  const { entries, metadata } = parseHeader(source);
  const wanted = options.names ?? [...entries.keys()];
  return scope(() => {
    const tensors = new Map<string, Tensor>();
    for (const name of wanted) {
      const entry = entries.get(name);
      if (entry === undefined) throw new EngineError("BAD_ARGUMENT", `${source.name}: no tensor "${name}"`);
      tensors.set(name, load(source, entry, options.device ?? "cpu"));
    }
    return { tensors, metadata };
  });
}

/**
 * Reads a safetensors file straight into tensors; names and order as in the file.
 * @throws EngineError FILE, FILE_TRUNCATED or SAFETENSORS_INVALID, naming the file and what is wrong.
 */
export function readSafetensors(path: string, options: ReadOptions = {}): Safetensors {
  const source = openFile(path);
  try {
    return readSafetensorsFrom(source, options);
  } finally {
    source.close();
  }
}

/** Reads a file held in memory. */
export function parseSafetensors(bytes: Uint8Array, options: ReadOptions = {}): Safetensors {
  return readSafetensorsFrom(fromMemory(bytes), options);
}

/** What a file holds, without reading its tensors. */
export function inspectSafetensors(path: string): SafetensorsHeader {
  const source = openFile(path);
  try {
    return parseHeader(source);
  } finally {
    source.close();
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, Math.min(bytes.length - done, 2 ** 30));
}

function encodeHeader(
  tensors: readonly (readonly [string, Tensor])[],
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  let offset = 0;
  const entries: [string, unknown][] =
    metadata.size > 0 ? [["__metadata__", Object.fromEntries(metadata)]] : [];
  for (const [name, tensor] of tensors) {
    const bytes = tensor.numel * DTYPES[tensor.dtype].bytes;
    entries.push([
      name,
      { dtype: FORMAT_NAMES[tensor.dtype], shape: tensor.shape, data_offsets: [offset, offset + bytes] },
    ]);
    offset += bytes;
  }
  const text = new TextEncoder().encode(
    `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`,
  );
  const padded = Math.ceil(text.length / 8) * 8; // tensors then start aligned
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(text, 8);
  return header;
}

/**
 * Writes tensors of any device and layout. The file appears whole or not at all: it is written beside its place, flushed
 * to disk, then renamed.
 * @throws EngineError FILE when it cannot be written; what stood there before is untouched.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): void {
  if (tensors.has("__metadata__"))
    throw new EngineError("BAD_ARGUMENT", 'writeSafetensors: "__metadata__" cannot name a tensor');
  // Wide elements first keep every tensor aligned to its element.
  const order = [...tensors].sort(
    ([a, x], [b, y]) => DTYPES[y.dtype].bytes - DTYPES[x.dtype].bytes || (a < b ? -1 : a > b ? 1 : 0),
  );
  const part = `${path}.${process.pid}.part`;
  let fd: number | undefined;
  try {
    fd = openSync(part, "w");
    writeAll(fd, encodeHeader(order, metadata));
    for (const [, tensor] of order) {
      scope(() => {
        if (tensor.numel > 0) writeAll(fd as number, contiguous(toCpu(tensor)).shareBytes());
      });
    }
    fsyncSync(fd);
    closeSync(fd);
    fd = undefined;
    renameSync(part, path);
  } catch (cause) {
    if (fd !== undefined) closeSync(fd);
    rmSync(part, { force: true });
    if (cause instanceof EngineError) throw cause;
    throw new EngineError("FILE", `${path}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

function toCpu(tensor: Tensor): Tensor {
  return tensor.device === "cpu" ? tensor : toCopy(tensor, { device: "cpu" });
}
