import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { deflateRawSync } from "node:zlib";

/** How the server misbehaves. */
export interface Habits {
  /** Bytes of the body after which a connection is cut, for the first so many connections. */
  cutAfter?: number;
  cuts?: number;
  ignoresRange?: boolean;
  /** Announces more bytes than it sends. */
  liesAboutSize?: boolean;
  status?: number;
  /** Answers, then sends nothing more, on the first connection. */
  stalls?: boolean;
}

export interface ArchiveServer {
  readonly address: string;
  /** Paths asked for, with the range. */
  readonly requests: string[];
  files: Map<string, Buffer>;
  habits: Habits;
  close(): Promise<void>;
}

const etagOf = (body: Buffer) => `"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"`;

function answer(server: ArchiveServer, request: IncomingMessage, response: ServerResponse): void {
  const path = decodeURIComponent(request.url ?? "/");
  const { habits } = server;
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1];
  server.requests.push(range === undefined ? path : `${path} from ${range}`);
  const body = server.files.get(path);
  if (habits.status !== undefined || body === undefined) {
    response.writeHead(habits.status ?? 404).end("no");
    return;
  }
  const same = request.headers["if-range"] === etagOf(body);
  const start = range !== undefined && same && !habits.ignoresRange ? Number(range) : 0;
  const headers: Record<string, string | number> = { etag: etagOf(body), "accept-ranges": "bytes" };
  if (start >= body.length && start > 0) {
    response.writeHead(416, { ...headers, "content-range": `bytes */${body.length}` }).end();
    return;
  }
  const rest = body.subarray(start);
  headers["content-length"] = rest.length + (habits.liesAboutSize ? 10 : 0);
  if (start > 0) headers["content-range"] = `bytes ${start}-${body.length - 1}/${body.length}`;
  response.writeHead(start > 0 ? 206 : 200, headers);
  send(habits, rest, response);
}

function send(habits: Habits, rest: Buffer, response: ServerResponse): void {
  if (habits.stalls) {
    habits.stalls = false;
    response.write(rest.subarray(0, 10));
    return;
  }
  if (habits.cutAfter !== undefined && (habits.cuts ?? 0) > 0) {
    habits.cuts = (habits.cuts ?? 0) - 1;
    // Late enough that a busy client has read what was sent: what a break overtakes is lost to it.
    response.write(rest.subarray(0, habits.cutAfter), () => setTimeout(() => response.destroy(), 250));
    return;
  }
  if (habits.liesAboutSize) response.write(rest, () => setTimeout(() => response.destroy(), 20));
  else response.end(rest);
}

/** A server of files on this machine alone. */
export async function archiveServer(files: Record<string, Buffer> = {}): Promise<ArchiveServer> {
  const http = createServer((request, response) => answer(server, request, response));
  await new Promise<void>((ready) => http.listen(0, "127.0.0.1", ready));
  const server: ArchiveServer = {
    address: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    requests: [],
    files: new Map(Object.entries(files)),
    habits: {},
    close: async () => {
      http.closeAllConnections();
      await new Promise((closed) => http.close(closed));
    },
  };
  return server;
}

export interface ZipEntry {
  name: string;
  text: string;
  mode?: number;
  stored?: boolean;
  /** Overrides what the directory says, to make a damaged archive. */
  crc?: number;
  size?: number;
}

const crcTable = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function crc32(data: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crcTable[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function headerFields(entry: ZipEntry, plain: Buffer, packed: Buffer, zip64: boolean): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(45, 0);
  fields.writeUInt16LE(entry.stored ? 0 : 8, 4);
  fields.writeUInt32LE(entry.crc ?? crc32(plain), 10);
  fields.writeUInt32LE(zip64 ? 0xffffffff : packed.length, 14);
  fields.writeUInt32LE(zip64 ? 0xffffffff : (entry.size ?? plain.length), 18);
  fields.writeUInt16LE(Buffer.byteLength(entry.name), 22);
  return fields;
}

function zip64Extra(entry: ZipEntry, plain: Buffer, packed: Buffer, offset: number): Buffer {
  const extra = Buffer.alloc(28);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(24, 2);
  for (const [i, value] of [entry.size ?? plain.length, packed.length, offset].entries())
    extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  return extra;
}

function centralHeader(
  entry: ZipEntry,
  plain: Buffer,
  packed: Buffer,
  offset: number,
  zip64: boolean,
): Buffer {
  const extra = zip64 ? zip64Extra(entry, plain, packed, offset) : Buffer.alloc(0);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(0x02014b50, 0);
  head.writeUInt16LE((3 << 8) | 45, 4);
  const tail = Buffer.alloc(14);
  tail.writeUInt32LE(((entry.mode ?? 0o100644) << 16) >>> 0, 6);
  tail.writeUInt32LE(zip64 ? 0xffffffff : offset, 10);
  const fields = headerFields(entry, plain, packed, zip64);
  fields.writeUInt16LE(extra.length, 24);
  return Buffer.concat([head, fields, tail, Buffer.from(entry.name), extra]);
}

function endRecords(count: number, size: number, offset: number, zip64: boolean): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(zip64 ? 0xffff : count, 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : size, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : offset, 16);
  if (!zip64) return end;
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  for (const [i, value] of [count, size, offset].entries())
    record.writeBigUInt64LE(BigInt(value), 32 + 8 * i);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(offset + size), 8);
  return Buffer.concat([record, locator, end]);
}

/** A zip archive of these entries; with zip64, in the form that archives over 4 GB have. */
export function makeZip(entries: readonly ZipEntry[], zip64 = false): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const plain = Buffer.from(entry.text);
    const packed = entry.stored ? plain : deflateRawSync(plain);
    const signature = Buffer.from([0x50, 0x4b, 3, 4]);
    const local = [signature, headerFields(entry, plain, packed, false), Buffer.from(entry.name), packed];
    central.push(centralHeader(entry, plain, packed, offset, zip64));
    locals.push(...local);
    offset += local.reduce((sum, piece) => sum + piece.length, 0);
  }
  const directory = Buffer.concat(central);
  return Buffer.concat([...locals, directory, endRecords(entries.length, directory.length, offset, zip64)]);
}

/** An archive laid out as libtorch's, without its libraries' content. */
export function libtorchZip(version: string): Buffer {
  const [major, minor, patch] = version.split(".");
  const header = `#define TORCH_VERSION_MAJOR ${major}\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH ${patch}\n`;
  const library = { linux: "libtorch_cpu.so", darwin: "libtorch_cpu.dylib", win32: "torch_cpu.lib" };
  return makeZip([
    { name: "libtorch/", text: "", mode: 0o040755, stored: true },
    { name: "libtorch/include/torch/csrc/api/include/torch/version.h", text: header },
    {
      name: `libtorch/lib/${library[process.platform as keyof typeof library] ?? library.linux}`,
      text: "a library ".repeat(20_000),
      mode: 0o100755,
    },
  ]);
}
