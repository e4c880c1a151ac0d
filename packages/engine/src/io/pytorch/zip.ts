// The part of the zip format (PKWARE's APPNOTE 6.3) that PyTorch writes: stored entries, one volume, zip64.
import { EngineError } from "../../errors.js";
import { quoted } from "../pickle/objects.js";
import { readBytes, type Source } from "../source.js";

/** A file of the archive. */
export interface ZipEntry {
  readonly name: string;
  readonly bytes: number;
  /** Bytes that it takes up in the archive: others when it is compressed. */
  readonly inFile: number;
  /** Of its bytes; 0 when the writer did not compute it (`torch.serialization.set_crc32_options(False)`). */
  readonly crc: number;
  /** Where its local header stands, and the place that its bytes cannot pass. */
  readonly header: number;
  readonly limit: number;
  /** Why it cannot be read. */
  readonly refusal: string | undefined;
}

type ListedEntry = Omit<ZipEntry, "limit">;

const signature = {
  local: 0x04034b50,
  central: 0x02014b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
} as const;
const size = { local: 30, central: 46, end: 22, end64: 56, locator64: 20 } as const;
const longestComment = 0xffff;
const largestDirectory = 2 ** 28;
const in64 = 0xffffffff; // a field that stands in the zip64 part instead
const in64Short = 0xffff;
const encrypted = 0x1;
const stored = 0;

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Beyond 2^53 not exact, and no place in a file. */
const uint64 = (data: DataView, at: number): number => Number(data.getBigUint64(at, true));

function invalid(source: Source, message: string): EngineError {
  return new EngineError("PYTORCH_INVALID", `${source.name}: zip: ${message}`);
}

interface Directory {
  readonly offset: number;
  readonly bytes: number;
  readonly count: number;
}

/** The place of the end record: the last that its comment leads from to the file's end. */
function findEnd(source: Source): { at: number; record: DataView } {
  const length = Math.min(source.size, size.end + longestComment);
  const first = source.size - length;
  const tail = view(readBytes(source, first, length));
  for (let at = length - size.end; at >= 0; at--) {
    if (tail.getUint32(at, true) !== signature.end) continue;
    if (at + size.end + tail.getUint16(at + 20, true) === length)
      return { at: first + at, record: new DataView(tail.buffer, at, size.end) };
  }
  throw new EngineError(
    "FILE_TRUNCATED",
    `${source.name}: zip: expected its directory at the end of the file, which is cut off or damaged`,
  );
}

/** The zip64 end record, where a locator stands before the end record at `end`. */
function find64(source: Source, end: number): { at: number; record: DataView } | undefined {
  if (end < size.locator64 + size.end64) return undefined;
  const locator = view(readBytes(source, end - size.locator64, size.locator64));
  if (locator.getUint32(0, true) !== signature.locator64) return undefined;
  const at = uint64(locator, 8);
  if (at > end - size.locator64 - size.end64)
    throw invalid(source, `expected its zip64 end record before byte ${end - size.locator64}, got ${at}`);
  const record = view(readBytes(source, at, size.end64));
  if (record.getUint32(0, true) !== signature.end64)
    throw invalid(source, `byte ${at}: expected the zip64 end record`);
  return { at, record };
}

function findDirectory(source: Source): Directory {
  const end = findEnd(source);
  const { record } = end;
  let directory = {
    count: record.getUint16(10, true),
    bytes: record.getUint32(12, true),
    offset: record.getUint32(16, true),
  };
  const large = find64(source, end.at);
  if (large !== undefined) {
    const of = (small: number, saturated: number, at: number): number => {
      const value = uint64(large.record, at);
      if (small !== saturated && small !== value)
        throw invalid(source, `its end records say ${small} and ${value} of the same thing`);
      return value;
    };
    directory = {
      count: of(directory.count, in64Short, 32),
      bytes: of(directory.bytes, in64, 40),
      offset: of(directory.offset, in64, 48),
    };
  }
  const stop = large?.at ?? end.at;
  if (directory.offset + directory.bytes !== stop)
    throw invalid(
      source,
      `expected its directory to end at ${stop}, got ${directory.offset} + ${directory.bytes}`,
    );
  if (directory.bytes > largestDirectory || directory.count * size.central > directory.bytes)
    throw invalid(source, `expected a directory of ${directory.count} entries, got ${directory.bytes} bytes`);
  return directory;
}

/** The 64-bit values of an entry, in the order of the fields that are saturated. */
function extra64(source: Source, extra: DataView, name: string): () => number {
  let at = 0;
  while (at + 4 <= extra.byteLength && extra.getUint16(at, true) !== 1)
    at += 4 + extra.getUint16(at + 2, true);
  const bytes = at + 4 <= extra.byteLength ? extra.getUint16(at + 2, true) : 0;
  const stop = Math.min(at + 4 + bytes, extra.byteLength);
  let next = at + 4;
  return () => {
    if (next + 8 > stop) throw invalid(source, `${name}: expected its zip64 sizes`);
    next += 8;
    return uint64(extra, next - 8);
  };
}

const names = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeName(source: Source, bytes: Uint8Array): string {
  try {
    return names.decode(bytes);
  } catch {
    throw invalid(source, "expected names in UTF-8");
  }
}

function refusalOf(flags: number, method: number, whole: boolean): string | undefined {
  if ((flags & encrypted) !== 0) return "is encrypted; expected a file as torch.save writes it";
  if (method === stored && whole) return undefined;
  return "is compressed; expected stored entries as torch.save writes them: save it again";
}

/** One record of the directory: the entry but for its limit, and the record's own length. */
function parseRecord(
  source: Source,
  directory: Uint8Array,
  at: number,
): { entry: ListedEntry; length: number } {
  const left = directory.length - at;
  const record = view(directory.subarray(at));
  if (left < size.central || record.getUint32(0, true) !== signature.central)
    throw invalid(source, `expected a record at byte ${at} of its directory`);
  const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) =>
    record.getUint16(field, true),
  ) as [number, number, number];
  const length = size.central + nameBytes + extraBytes + commentBytes;
  if (length > left) throw invalid(source, `the record at byte ${at} of its directory passes the end`);
  const body = directory.subarray(at + size.central);
  const name = decodeName(source, body.subarray(0, nameBytes));
  const large = extra64(source, view(body.subarray(nameBytes, nameBytes + extraBytes)), quoted(name));
  const wide = (field: number): number => {
    const value = record.getUint32(field, true);
    return value === in64 ? large() : value;
  };
  const bytes = wide(24);
  const inFile = wide(20);
  const header = wide(42);
  const refusal = refusalOf(record.getUint16(8, true), record.getUint16(10, true), bytes === inFile);
  const crc = record.getUint32(16, true);
  return { entry: { name, bytes, inFile, crc, header, refusal }, length };
}

function parseDirectory(source: Source): { entries: ListedEntry[]; end: number } {
  const { offset, bytes, count } = findDirectory(source);
  const directory = readBytes(source, offset, bytes);
  const entries: ListedEntry[] = [];
  let at = 0;
  while (entries.length < count) {
    const { entry, length } = parseRecord(source, directory, at);
    entries.push(entry);
    at += length;
  }
  if (at !== bytes) throw invalid(source, `its directory holds more than its ${count} entries`);
  return { entries, end: offset };
}

/**
 * The entries of an archive by name.
 * @throws EngineError FILE_TRUNCATED when the directory is missing, PYTORCH_INVALID when it is malformed, names stand
 * twice or entries overlap.
 */
export function readZipDirectory(source: Source): Map<string, ZipEntry> {
  const { entries, end } = parseDirectory(source);
  entries.sort((a, b) => a.header - b.header);
  const byName = new Map<string, ZipEntry>();
  for (const [i, entry] of entries.entries()) {
    const limit = entries[i + 1]?.header ?? end;
    const shown = quoted(entry.name);
    if (entry.header + size.local + entry.inFile > limit)
      throw invalid(source, `${shown} of ${entry.inFile} bytes at ${entry.header} passes byte ${limit}`);
    if (byName.has(entry.name)) throw invalid(source, `the name ${shown} stands twice`);
    byName.set(entry.name, { ...entry, limit });
  }
  return byName;
}

/**
 * Where the bytes of an entry begin, by its local header.
 * @throws EngineError PYTORCH_INVALID when it is encrypted, compressed or not what the directory says.
 */
export function dataOffset(source: Source, entry: ZipEntry): number {
  const header = view(readBytes(source, entry.header, size.local));
  const shown = quoted(entry.name);
  if (header.getUint32(0, true) !== signature.local)
    throw invalid(source, `byte ${entry.header}: expected the header of ${shown}`);
  const nameBytes = header.getUint16(26, true);
  const offset = entry.header + size.local + nameBytes + header.getUint16(28, true);
  if (offset + entry.inFile > entry.limit)
    throw invalid(source, `${shown} of ${entry.inFile} bytes at ${offset} passes byte ${entry.limit}`);
  const name = decodeName(source, readBytes(source, entry.header + size.local, nameBytes));
  if (name !== entry.name)
    throw invalid(source, `byte ${entry.header}: expected the header of ${shown}, got ${quoted(name)}`);
  const refusal = entry.refusal ?? refusalOf(header.getUint16(6, true), header.getUint16(8, true), true);
  if (refusal !== undefined) throw invalid(source, `${shown} ${refusal}`);
  return offset;
}
