import { EngineError } from "../../errors.js";
import type { Source } from "../source.js";

const windowBytes = 2 ** 16;

/** Reads a stretch of a source from its start on, in small pieces; never past its end. */
export class ByteCursor {
  readonly #source: Source;
  readonly #end: number;
  #window: Uint8Array = new Uint8Array(0);
  #view = new DataView(this.#window.buffer);
  /** Where the window begins in the source, and how far it is read. */
  #base: number;
  #at = 0;

  constructor(source: Source, start: number, end: number) {
    this.#source = source;
    this.#base = start;
    this.#end = end;
  }

  /** Place of the next byte in the source. */
  get position(): number {
    return this.#base + this.#at;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#end - this.position;
  }

  /** Brings `count` bytes into the window and steps over them. Returns where in the window they begin. */
  #take(count: number): number {
    if (this.#at + count > this.#window.length) this.#refill(count);
    const first = this.#at;
    this.#at += count;
    return first;
  }

  /** @throws EngineError unless `count` bytes are left: FILE_TRUNCATED where the stretch ends with the file. */
  need(count: number): void {
    const { position, left } = this;
    if (count <= left) return;
    const message = `${this.#source.name}: byte ${position}: expected ${count} more bytes, got ${left}`;
    throw new EngineError(this.#end === this.#source.size ? "FILE_TRUNCATED" : "PYTORCH_INVALID", message);
  }

  #refill(count: number): void {
    this.need(count);
    const { position, left } = this;
    this.#window = new Uint8Array(Math.min(left, Math.max(count, windowBytes)));
    this.#view = new DataView(this.#window.buffer);
    this.#source.readInto(this.#window, position);
    this.#base = position;
    this.#at = 0;
  }

  uint8(): number {
    const at = this.#take(1);
    return this.#view.getUint8(at);
  }

  uint16(): number {
    const at = this.#take(2);
    return this.#view.getUint16(at, true);
  }

  int32(): number {
    const at = this.#take(4);
    return this.#view.getInt32(at, true);
  }

  uint32(): number {
    const at = this.#take(4);
    return this.#view.getUint32(at, true);
  }

  /** Beyond 2^53 not exact, and no length that exists. */
  uint64(): number {
    const at = this.#take(8);
    return Number(this.#view.getBigUint64(at, true));
  }

  /** Big-endian. */
  float64(): number {
    const at = this.#take(8);
    return this.#view.getFloat64(at);
  }

  /** A copy. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#window.slice(at, at + count);
  }

  /** Bytes before the next newline, which is stepped over; at most `most`. Undefined when there is no such line. */
  line(most: number): Uint8Array | undefined {
    for (let length = 0; length <= Math.min(most, this.left - 1); length++) {
      const at = this.#take(length + 1);
      this.#at = at;
      if (this.#window[at + length] === 0x0a) return this.bytes(length + 1).subarray(0, length);
    }
    return undefined;
  }
}
