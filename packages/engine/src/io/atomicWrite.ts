import { randomBytes } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { EngineError } from "../errors.js";

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, Math.min(bytes.length - done, 2 ** 30));
}

/** Makes the renaming itself outlive a power cut. Not every system lets a folder be flushed; the file is whole anyway. */
function flushFolder(folder: string): void {
  try {
    const fd = openSync(folder, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {}
}

/** Removes what writers of this file that were killed left beside it; for its only writer, before it writes. */
export function removeLeftovers(path: string): void {
  const folder = dirname(path);
  for (const name of readdirSync(folder)) {
    const rest = name.startsWith(basename(path)) ? name.slice(basename(path).length) : "";
    if (/^\.[0-9a-f]{12}\.part$/.test(rest)) rmSync(join(folder, name), { force: true });
  }
}

/**
 * Writes a file that appears whole or not at all: beside its place, flushed to disk, then renamed. It keeps the
 * permissions of a file that it replaces.
 * @throws EngineError FILE when it cannot be written, or what `body` throws; what stood there before is untouched.
 */
export function writeAtomically(path: string, body: (write: (bytes: Uint8Array) => void) => void): void {
  const part = `${path}.${randomBytes(6).toString("hex")}.part`;
  let fd: number | undefined;
  try {
    fd = openSync(part, "wx");
    const open = fd;
    const before = statSync(path, { throwIfNoEntry: false });
    if (before?.isFile()) fchmodSync(open, before.mode & 0o777);
    body((bytes) => writeAll(open, bytes));
    fsyncSync(open);
    fd = undefined;
    closeSync(open);
    renameSync(part, path);
  } catch (cause) {
    if (fd !== undefined) closeSync(fd);
    rmSync(part, { force: true });
    if (cause instanceof EngineError) throw cause;
    throw new EngineError("FILE", `${path}: cannot be written: ${(cause as Error).message}`, { cause });
  }
  flushFolder(dirname(path));
}
