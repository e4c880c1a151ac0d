import { DTYPES, type DType } from "../dtype.js";
import { EngineError } from "../errors.js";
import { parseHeaderJson } from "./headerJson.js";
import { readBytes, type Source } from "./source.js";

/** The format's names of element types (safetensors 0.4). */
export const FORMAT_NAMES: Readonly<Record<DType, string>> = {
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
const mostDimensions = 64; // as libtorch's iterators

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

/** A value of the header for a message; long ones are cut. */
function shown(value: unknown): string {
  const text = JSON.stringify(value instanceof Map ? Object.fromEntries(value) : value) ?? "nothing";
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function parseEntry(source: Source, name: string, raw: unknown, dataStart: number): TensorEntry {
  const refuse = (expected: string, got: unknown): EngineError =>
    invalid(source, `tensor ${shown(name)}: expected ${expected}, got ${shown(got)}`);
  if (!(raw instanceof Map)) throw refuse("an object with dtype, shape and data_offsets", raw);
  const [format, shape, offsets] = ["dtype", "shape", "data_offsets"].map((key) => raw.get(key));
  const dtype = DTYPE_OF.get(format);
  if (dtype === undefined) throw refuse(`a dtype of ${[...DTYPE_OF.keys()].join(", ")}`, format);
  if (!Array.isArray(shape) || !shape.every(isSize)) throw refuse("a shape of non-negative integers", shape);
  if (shape.length > mostDimensions) throw refuse(`at most ${mostDimensions} dimensions`, shape.length);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    throw refuse("data_offsets of two non-negative integers", offsets);
  // Sizes of 0 do not excuse others whose product overflows.
  const extent = shape.reduce((product, size) => product * Math.max(size, 1), DTYPES[dtype].bytes);
  if (!Number.isSafeInteger(extent)) throw refuse("a shape of less than 2^53 bytes", shape);
  const bytes = shape.includes(0) ? 0 : extent;
  const [begin, end] = offsets as [number, number];
  if (end - begin !== bytes) {
    throw invalid(
      source,
      `tensor ${shown(name)}: expected ${bytes} bytes for ${format} ${shown(shape)}, data_offsets span ${end - begin}`,
    );
  }
  return { name, dtype, shape, offset: dataStart + begin, bytes };
}

/** The tensors must fill the file from the header's end to its own, without holes and overlaps. */
function checkLayout(source: Source, entries: Iterable<TensorEntry>, dataStart: number): void {
  const sorted = [...entries].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  for (const { name, offset, bytes } of sorted) {
    if (offset !== end) {
      throw invalid(
        source,
        `tensor ${shown(name)}: expected its data at ${end - dataStart}, got ${offset - dataStart}: ${offset < end ? "ranges overlap" : "bytes between tensors belong to none"}`,
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
    throw invalid(source, `__metadata__: expected an object of strings, got ${shown(raw)}`);
  }
  return raw as Map<string, string>;
}

function headerLength(source: Source): number {
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
  return length;
}

/** Reads and checks the header alone. */
export function parseHeader(source: Source): SafetensorsHeader {
  const length = headerLength(source);
  const header = parseHeaderJson(readBytes(source, 8, length), (message) =>
    invalid(source, `header: ${message}`),
  );
  const metadata = parseMetadata(source, header.get("__metadata__"));
  header.delete("__metadata__");
  const dataStart = 8 + length;
  const entries = new Map<string, TensorEntry>();
  for (const [name, raw] of header) entries.set(name, parseEntry(source, name, raw, dataStart));
  checkLayout(source, entries.values(), dataStart);
  return { entries, metadata };
}

/** The header's bytes, its length before it, for tensors that follow each other in this order. */
export function encodeHeader(
  tensors: readonly { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] }[],
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  const pairs: string[] = [];
  const put = (name: string, value: unknown): void => {
    pairs.push(`${JSON.stringify(name)}:${JSON.stringify(value)}`);
  };
  if (metadata.size > 0) put("__metadata__", Object.fromEntries(metadata));
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = offset + shape.reduce((product, size) => product * size, DTYPES[dtype].bytes);
    put(name, { dtype: FORMAT_NAMES[dtype], shape, data_offsets: [offset, end] });
    offset = end;
  }
  const text = new TextEncoder().encode(`{${pairs.join(",")}}`);
  const padded = Math.ceil(text.length / 8) * 8; // tensors then start aligned
  if (padded > largestHeader) {
    throw new EngineError(
      "BAD_ARGUMENT",
      `writeSafetensors: expected names and metadata of at most ${largestHeader} bytes, got ${padded}`,
    );
  }
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(text, 8);
  return header;
}
