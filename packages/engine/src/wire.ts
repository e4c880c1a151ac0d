import { loadError, native } from "./native.js";

/**
 * Tags of values in the buffer shared with the addon (native/convert.h has the same table): a tag cell, then the
 * payload, in cells of 8 bytes.
 */
export const Tag = {
  None: 0,
  Missing: 1,
  Tensor: 2,
  Number: 3,
  Bool: 4,
  String: 5,
  BigInt: 6,
  Generator: 7,
  List: 8,
  NumberList: 9,
  Opaque: 10,
} as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The one buffer of this thread, seen as numbers, 64-bit integers and bytes. */
class Wire {
  cells!: Float64Array;
  integers!: BigInt64Array;
  bytes!: Uint8Array;
  /** Cell at which the next value is written or read. */
  at = 0;

  constructor() {
    this.attach(loadError === null ? native.buffer() : new ArrayBuffer(0));
  }

  attach(buffer: ArrayBuffer): void {
    this.cells = new Float64Array(buffer);
    this.integers = new BigInt64Array(buffer);
    this.bytes = new Uint8Array(buffer);
  }

  /** Makes room for `cells` more cells after `at`. */
  reserve(cells: number): void {
    if (this.at + cells > this.cells.length) this.attach(native.growBuffer(this.at + cells));
  }

  putText(text: string): void {
    const most = 2 + Math.ceil((text.length * 3) / 8);
    this.reserve(most);
    this.cells[this.at++] = Tag.String;
    const { written } = encoder.encodeInto(text, this.bytes.subarray((this.at + 1) * 8));
    this.cells[this.at++] = written;
    this.at += Math.ceil(written / 8);
  }

  takeText(): string {
    const length = this.cells[this.at++] as number;
    const text = decoder.decode(this.bytes.subarray(this.at * 8, this.at * 8 + length));
    this.at += Math.ceil(length / 8);
    return text;
  }
}

export const wire = new Wire();
