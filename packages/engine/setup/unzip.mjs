// Unpacks a zip archive of any size (zip64 too) without holding it in memory. Whatever would land outside of the
// destination is refused, so an archive cannot write over other files.
import { createWriteStream } from "node:fs";
import { chmod, mkdir, open, symlink } from "node:fs/promises";
import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import * as zlib from "node:zlib";
import { SetupError } from "./report.mjs";

/**
 * @typedef {object} Entry
 * @property {string} name
 * @property {number} method 0 stored, 8 deflated
 * @property {number} packed bytes in the archive
 * @property {number} size bytes unpacked
 * @property {number} crc
 * @property {number} offset of the local header
 * @property {number} mode Unix mode, 0 when the archive has none
 */

/** @typedef {import("node:fs/promises").FileHandle} FileHandle */

const signatures = {
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
  central: 0x02014b50,
  local: 0x04034b50,
};
const linkType = 0o120000;
const typeMask = 0o170000;

/** @param {string} why */
const broken = (why) => new SetupError(`not a sound zip archive: ${why}`);

/** @param {FileHandle} file @param {number} position @param {number} length */
async function read(file, position, length) {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  if (bytesRead !== length) throw broken("it ends too early");
  return buffer;
}

/** Where the central directory lies. @param {FileHandle} file @param {number} fileSize */
async function findDirectory(file, fileSize) {
  const tailLength = Math.min(fileSize, 22 + 0xffff);
  const tail = await read(file, fileSize - tailLength, tailLength);
  let at = tailLength - 22;
  while (at >= 0 && tail.readUInt32LE(at) !== signatures.end) at--;
  if (at < 0) throw broken("it has no directory");
  const small = {
    count: tail.readUInt16LE(at + 10),
    size: tail.readUInt32LE(at + 12),
    offset: tail.readUInt32LE(at + 16),
  };
  const large = small.count === 0xffff || small.size === 0xffffffff || small.offset === 0xffffffff;
  if (!large) return small;
  if (at < 20 || tail.readUInt32LE(at - 20) !== signatures.locator64)
    throw broken("its zip64 record is missing");
  const record = await read(file, Number(tail.readBigUInt64LE(at - 12)), 56);
  if (record.readUInt32LE(0) !== signatures.end64) throw broken("its zip64 record is damaged");
  /** @param {number} at */
  const number = (at) => Number(record.readBigUInt64LE(at));
  return { count: number(32), size: number(40), offset: number(48) };
}

/** Replaces the fields that did not fit into 32 bits. @param {Entry} entry @param {Buffer} extra */
function applyZip64(entry, extra) {
  for (let at = 0; at + 4 <= extra.length; ) {
    const length = extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === 1) {
      let value = at + 4;
      for (const field of /** @type {const} */ (["size", "packed", "offset"])) {
        if (entry[field] !== 0xffffffff) continue;
        entry[field] = Number(extra.readBigUInt64LE(value));
        value += 8;
      }
      return;
    }
    at += 4 + length;
  }
}

/** @param {FileHandle} file @returns {Promise<Entry[]>} */
async function readDirectory(file) {
  const fileSize = (await file.stat()).size;
  if (fileSize < 22) throw broken("it is too short");
  const { count, size, offset } = await findDirectory(file, fileSize);
  if (offset + size > fileSize) throw broken("its directory lies outside of it");
  const directory = await read(file, offset, size);
  /** @type {Entry[]} */
  const entries = [];
  for (let at = 0, i = 0; i < count; i++) {
    if (at + 46 > size || directory.readUInt32LE(at) !== signatures.central)
      throw broken("its directory is damaged");
    const nameLength = directory.readUInt16LE(at + 28);
    const extraLength = directory.readUInt16LE(at + 30);
    const commentLength = directory.readUInt16LE(at + 32);
    const name = directory.toString("utf8", at + 46, at + 46 + nameLength);
    if (directory.readUInt16LE(at + 8) & 1) throw broken(`${name} is encrypted`);
    const entry = {
      name,
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
      packed: directory.readUInt32LE(at + 20),
      size: directory.readUInt32LE(at + 24),
      mode: directory.readUInt8(at + 5) === 3 ? directory.readUInt16LE(at + 40) : 0,
      offset: directory.readUInt32LE(at + 42),
    };
    const extraAt = at + 46 + nameLength;
    applyZip64(entry, directory.subarray(extraAt, extraAt + extraLength));
    entries.push(entry);
    at = extraAt + extraLength + commentLength;
  }
  return entries;
}

/** @param {string} root @param {string} name @returns {string} the path of an entry below root */
function inside(root, name) {
  const path = resolve(root, name);
  const below = relative(root, path);
  const leaves = below === ".." || below.startsWith(`..${sep}`) || isAbsolute(below);
  if (name === "" || name.includes("\0") || name.includes("\\") || /^([a-z]:|\/)/i.test(name) || leaves) {
    throw new SetupError(
      `the archive holds "${name}", which would land outside of ${root}; nothing of it is used`,
    );
  }
  return path;
}

/** Where an entry's bytes begin: its local header has lengths of its own. @param {FileHandle} file @param {Entry} entry */
async function dataStart(file, entry) {
  const header = await read(file, entry.offset, 30);
  if (header.readUInt32LE(0) !== signatures.local) throw broken(`${entry.name} has no header`);
  return entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
}

/**
 * The entry's bytes, unpacked and checked.
 * @param {FileHandle} file @param {Entry} entry @param {(bytes: number) => void} count
 */
async function* contents(file, entry, count) {
  if (entry.method !== 0 && entry.method !== 8)
    throw broken(`${entry.name} is packed by an unknown method (${entry.method})`);
  if (entry.packed === 0) return;
  const start = await dataStart(file, entry);
  const packed = file.createReadStream({
    ...{ start, end: start + entry.packed - 1, autoClose: false, highWaterMark: 1 << 18 },
  });
  const plain = entry.method === 8 ? packed.pipe(zlib.createInflateRaw()) : packed;
  packed.on("error", (error) => plain.destroy(error));
  // Node has crc32 from 20.15 on; before, the size is the check.
  const crc32 = /** @type {{ crc32?: (data: Uint8Array, value: number) => number }} */ (zlib).crc32;
  let [size, crc] = [0, 0];
  for await (const chunk of plain) {
    size += chunk.length;
    if (size > entry.size) throw broken(`${entry.name} is larger than its directory says`);
    if (crc32) crc = crc32(chunk, crc);
    count(chunk.length);
    yield chunk;
  }
  if (size !== entry.size || (crc32 && crc !== entry.crc)) throw broken(`${entry.name} is damaged`);
}

/** @param {FileHandle} file @param {Entry} entry @param {string} path @param {(bytes: number) => void} count */
async function writeFile(file, entry, path, count) {
  await pipeline(contents(file, entry, count), createWriteStream(path, { flags: "wx" }));
  if (entry.mode & 0o111) await chmod(path, 0o755);
}

/** @param {FileHandle} file @param {Entry} entry @param {string} root */
async function linkTarget(file, entry, root) {
  const chunks = [];
  for await (const chunk of contents(file, entry, () => {})) chunks.push(chunk);
  const target = Buffer.concat(chunks).toString("utf8");
  inside(
    root,
    isAbsolute(target) ? target : relative(root, resolve(dirname(resolve(root, entry.name)), target)),
  );
  return target;
}

/**
 * Unpacks `archive` into the folder `root`, which must not hold its files yet.
 * @param {string} archive @param {string} root
 * @param {{ onProgress?: (done: number, total: number) => void, onSize?: (bytes: number) => void }} [options]
 *   onSize is told what the files will take before any is written, and may throw
 * @throws SetupError when the archive is damaged, or holds a path that leads outside
 */
export async function unzip(archive, root, options = {}) {
  const file = await open(archive, "r");
  try {
    const entries = await readDirectory(file);
    // All names are looked at before anything is written.
    const paths = entries.map((entry) => inside(root, entry.name));
    const total = entries.reduce((sum, entry) => sum + entry.size, 0);
    options.onSize?.(total);
    let done = 0;
    /** @param {number} bytes */
    const count = (bytes) => {
      done += bytes;
      options.onProgress?.(done, total);
    };
    /** @type {[string, string][]} links come last: nothing may be written through one */
    const links = [];
    for (const [i, entry] of entries.entries()) {
      const path = /** @type {string} */ (paths[i]);
      if (entry.name.endsWith("/")) {
        await mkdir(path, { recursive: true });
        continue;
      }
      await mkdir(dirname(path), { recursive: true });
      if ((entry.mode & typeMask) === linkType) links.push([path, await linkTarget(file, entry, root)]);
      else await writeFile(file, entry, path, count);
    }
    for (const [path, target] of links) await symlink(target, path);
  } finally {
    await file.close();
  }
}
