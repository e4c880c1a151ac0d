// Pickles, archives and older files byte by byte, for what no PyTorch would write.
import { crc32 } from "node:zlib";

/** A piece of a pickle: opcodes, or text of one byte per letter. */
export type Code = string | Uint8Array | readonly Code[];

const encode = (code: Code): Buffer => {
  if (typeof code === "string") return Buffer.from(code, "latin1");
  return code instanceof Uint8Array
    ? Buffer.from(code)
    : Buffer.concat((code as readonly Code[]).map(encode));
};

const uint = (value: number | bigint, bytes: 1 | 2 | 4 | 8): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return buffer.subarray(0, bytes);
};

/** Opcodes by the names of Python's pickletools, where a test needs them. */
export const p = {
  text: (value: string): Code => ["X", uint(Buffer.byteLength(value), 4), Buffer.from(value)],
  integer: (value: number | bigint): Code => ["\x8a\x08", uint(value, 8)],
  global: (module: string, name: string): Code => `c${module}\n${name}\n`,
  tuple: (...items: Code[]): Code => ["(", ...items, "t"],
  list: (...items: Code[]): Code => ["](", ...items, "e"],
  dict: (...pairs: [Code, Code][]): Code => ["}(", ...pairs.flat(), "u"],
  reduce: (callable: Code, ...args: Code[]): Code => [callable, ["(", ...args, "t"], "R"],
  none: "N",
  yes: "\x88",
  no: "\x89",
  put: (index: number): Code => ["r", uint(index, 4)],
  get: (index: number): Code => ["j", uint(index, 4)],
  build: "b",
  persistent: "Q",
} as const;

/** A whole pickle of protocol 2. */
export const pickle = (code: Code): Buffer => encode(["\x80\x02", code, "."]);

export interface StorageCode {
  readonly type?: string;
  readonly key?: string;
  readonly numel?: number | bigint;
  readonly view?: Code;
}

/** A reference to a storage. */
export function storage({ type = "FloatStorage", key = "0", numel = 4, view }: StorageCode = {}): Code {
  const id = [p.text("storage"), p.global("torch", type), p.text(key), p.text("cpu"), p.integer(numel)];
  return [p.tuple(...id, ...(view === undefined ? [] : [view])), p.persistent];
}

const integers = (values: readonly (number | bigint)[]): Code => p.tuple(...values.map(p.integer));

export interface TensorCode {
  readonly over?: Code;
  readonly offset?: Code;
  readonly size?: readonly (number | bigint)[];
  readonly stride?: readonly (number | bigint)[];
}

/** The call that makes a tensor: of 4 elements over storage 0 unless told. */
export function tensorCode({
  over = storage(),
  offset = p.integer(0),
  size = [4],
  stride = [1],
}: TensorCode = {}): Code {
  const hooks = p.reduce(p.global("collections", "OrderedDict"));
  const function_ = p.global("torch._utils", "_rebuild_tensor_v2");
  return p.reduce(function_, over, offset, integers(size), integers(stride), p.no, hooks);
}

export interface ZipFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly crc?: number;
  readonly flags?: number;
  readonly method?: number;
  /** Where the directory says that the local header stands. */
  readonly header?: number;
  /** What it says of the size. */
  readonly size?: number;
  readonly localName?: string;
}

export interface ZipOptions {
  /** Sizes, offsets and counts in the zip64 parts. */
  readonly zip64?: boolean;
  readonly comment?: string;
  /** Added to what the end record says of the directory's place, and of the number of entries. */
  readonly shift?: number;
  readonly more?: number;
}

const all32 = 0xffffffff;

/** An archive as PyTorch writes it: stored entries. */
export function zip(files: readonly ZipFile[], options: ZipOptions = {}): Buffer {
  const { zip64 = false, comment = "", shift = 0, more = 0 } = options;
  const parts: Buffer[] = [];
  const central: Buffer[] = [];
  let at = 0;
  const add = (...some: Buffer[]): void => {
    for (const part of some) {
      parts.push(part);
      at += part.length;
    }
  };
  for (const file of files) {
    const {
      name,
      bytes,
      crc = crc32(bytes),
      flags = 0x800,
      method = 0,
      header = at,
      size = bytes.length,
    } = file;
    const facts = encode([uint(20, 2), uint(flags, 2), uint(method, 2), uint(0, 4), uint(crc, 4)]);
    const wide = encode([uint(1, 2), uint(24, 2), uint(size, 8), uint(size, 8), uint(header, 8)]);
    const extra = zip64 ? wide : Buffer.alloc(0);
    const sizes = encode([uint(zip64 ? all32 : size, 4), uint(zip64 ? all32 : size, 4)]);
    const local = Buffer.from(file.localName ?? name);
    const lengths = [uint(Buffer.byteLength(name), 2), uint(extra.length, 2), uint(0, 2)];
    central.push(
      encode([
        "PK\x01\x02",
        uint(20, 2),
        facts,
        sizes,
        ...lengths,
        uint(0, 8),
        uint(zip64 ? all32 : header, 4),
      ]),
      Buffer.from(name),
      extra,
    );
    add(encode(["PK\x03\x04", facts, sizes, uint(local.length, 2), uint(0, 2), local]), Buffer.from(bytes));
  }
  const directory = { at: at + shift, bytes: Buffer.concat(central).length, count: files.length + more };
  add(...central);
  if (zip64) {
    const end64 = at;
    const { count, bytes } = directory;
    add(
      encode([
        "PK\x06\x06",
        uint(44, 8),
        uint(45, 2),
        uint(45, 2),
        uint(0, 8),
        uint(count, 8),
        uint(count, 8),
      ]),
    );
    add(
      encode([uint(bytes, 8), uint(directory.at, 8), "PK\x06\x07", uint(0, 4), uint(end64, 8), uint(1, 4)]),
    );
  }
  const count = uint(zip64 ? 0xffff : directory.count, 2);
  const place = [uint(zip64 ? all32 : directory.bytes, 4), uint(zip64 ? all32 : directory.at, 4)];
  add(encode(["PK\x05\x06", uint(0, 4), count, count, ...place, uint(comment.length, 2), comment]));
  return Buffer.concat(parts);
}

/** 4 float32: 0, 1, 2, 3. */
export const fourFloats = new Uint8Array(Float32Array.of(0, 1, 2, 3).buffer);

/** An archive of an object, with storage 0 of 4 floats. */
export function checkpoint(object: Code, more: readonly ZipFile[] = []): Buffer {
  return zip([
    { name: "archive/data.pkl", bytes: pickle(object) },
    { name: "archive/data/0", bytes: fourFloats },
    ...more,
  ]);
}

export const magic: Code = ["\x8a\x0a", Buffer.from("6cfc9c46f9206aa85019", "hex")];

export interface LegacyCode {
  readonly magic?: Code;
  readonly version?: number;
  readonly littleEndian?: boolean;
  readonly keys?: Code;
  /** Number of elements and bytes of each storage. */
  readonly storages?: readonly (readonly [numel: number | bigint, bytes: Uint8Array])[];
}

/** A file of the format before 1.6. */
export function legacy(object: Code, options: LegacyCode = {}): Buffer {
  const { version = 1001, littleEndian = true, storages = [[4, fourFloats]] } = options;
  return Buffer.concat([
    pickle(options.magic ?? magic),
    pickle(p.integer(version)),
    pickle(p.dict([p.text("little_endian"), littleEndian ? p.yes : p.no])),
    pickle(object),
    pickle(options.keys ?? p.list(p.text("0"))),
    ...storages.flatMap(([numel, bytes]) => [uint(numel, 8), Buffer.from(bytes)]),
  ]);
}
