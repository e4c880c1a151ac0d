import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { check, EngineError } from "../errors.js";

/** Bytes that can be read from anywhere: a file, or memory. */
export interface Source {
  /** For messages: the file's path. */
  readonly name: string;
  readonly size: number;
  /** Fills `target` from `offset`. */
  readInto(target: Uint8Array, offset: number): void;
  close(): void;
}

const largestRead = 2 ** 30; // one read cannot pass 2 GiB

function truncated(name: string, offset: number, wanted: number, size: number): EngineError {
  return new EngineError(
    "FILE_TRUNCATED",
    `${name}: expected ${wanted} bytes at ${offset}, but the file ends at ${size}`,
  );
}

function unreadable(path: string, cause: unknown): EngineError {
  return new EngineError("FILE", `${path}: cannot be read: ${(cause as Error).message}`, { cause });
}

function openRegularFile(path: string): { fd: number; stat: Stats } {
  let fd: number | undefined;
  try {
    // Without O_NONBLOCK opening a named pipe would wait for a writer. Windows has neither.
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = fstatSync(fd);
    if (stat.isFile()) return { fd, stat };
  } catch (cause) {
    if (fd !== undefined) closeSync(fd);
    throw unreadable(path, cause);
  }
  closeSync(fd);
  throw new EngineError("FILE", `${path}: expected a file, got a folder or device`);
}

/** @throws EngineError FILE when the file cannot be opened. */
export function openFile(path: string): Source {
  const {
    fd,
    stat: { size },
  } = openRegularFile(path);
  const readSome = (target: Uint8Array, done: number, offset: number): number => {
    try {
      return readSync(fd, target, done, Math.min(target.length - done, largestRead), offset + done);
    } catch (cause) {
      throw unreadable(path, cause);
    }
  };
  return {
    name: path,
    size,
    readInto(target, offset) {
      for (let done = 0; done < target.length; ) {
        const read = readSome(target, done, offset);
        if (read === 0) throw truncated(path, offset, target.length, size);
        done += read;
      }
    },
    close: () => closeSync(fd),
  };
}

/** @throws EngineError BAD_ARGUMENT for anything but a Uint8Array: a Buffer is one, an ArrayBuffer is not. */
export function fromMemory(bytes: Uint8Array, name = "memory"): Source {
  check(
    bytes instanceof Uint8Array,
    () =>
      `expected a file's bytes as a Uint8Array, got ${Object.prototype.toString.call(bytes).slice(8, -1)}`,
  );
  return {
    name,
    size: bytes.length,
    readInto(target, offset) {
      if (offset + target.length > bytes.length) throw truncated(name, offset, target.length, bytes.length);
      target.set(bytes.subarray(offset, offset + target.length));
    },
    close() {},
  };
}

/** Opens a file, hands it to `read`, and closes it. */
export function withFile<T>(path: string, read: (source: Source) => T): T {
  const source = openFile(path);
  try {
    return read(source);
  } finally {
    source.close();
  }
}

/** A copy of `length` bytes at `offset`. Check `length` against the source's size before: it is allocated here. */
export function readBytes(source: Source, offset: number, length: number): Uint8Array {
  if (offset < 0 || length < 0 || offset + length > source.size)
    throw truncated(source.name, offset, length, source.size);
  const bytes = new Uint8Array(length);
  source.readInto(bytes, offset);
  return bytes;
}
