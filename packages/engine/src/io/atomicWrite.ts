import { randomBytes } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  type Stats,
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

/** The file that is to be replaced, if there is one. Renaming would replace a device or pipe as well, for everybody. */
function standing(path: string): Stats | undefined {
  let found: Stats | undefined;
  try {
    found = statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw new EngineError("FILE", `${path}: cannot be written: ${(cause as Error).message}`, { cause });
  }
  if (found === undefined || found.isFile()) return found;
  throw new EngineError("FILE", `${path}: cannot be written: expected a file, got a folder, device or pipe`);
}

/**
 * Writes a file that appears whole or not at all: beside its place, flushed to disk, then renamed. It keeps the
 * permissions of a file that it replaces.
 * @throws EngineError FILE when it cannot be written, or what `body` throws; what stood there before is untouched.
 */
export function writeAtomically(path: string, body: (write: (bytes: Uint8Array) => void) => void): void {
  const before = standing(path);
  const part = `${path}.${randomBytes(6).toString("hex")}.part`;
  let fd: number | undefined;
  try {
    fd = openSync(part, "wx");
    const open = fd;
    if (before !== undefined) fchmodSync(open, before.mode & 0o777);
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
