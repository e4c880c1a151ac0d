import { ModelError, type ModelSpec, parseModelSpec } from "../spec.js";

/** Key of the model's description among an ONNX file's metadata. */
export const metadataKey = "sepc";

/** A part of a protocol buffer, read field by field. */
class Fields {
  #at = 0;
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly file: string,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #cut(): never {
    throw new ModelError(`${this.file}: not an ONNX file, or cut short at byte ${this.#at}`);
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.bytes.length) this.#cut();
      const byte = this.#view.getUint8(this.#at++);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return this.#cut();
  }

  /** The next field: its number, and its bytes where it has a length. */
  next(): { number: number; bytes: Uint8Array | null } | null {
    if (this.#at >= this.bytes.length) return null;
    const tag = this.#varint();
    const number = Math.floor(tag / 8);
    if (number === 0) this.#cut();
    switch (tag % 8) {
      case 0:
        this.#varint();
        return { number, bytes: null };
      case 1:
        this.#at += 8;
        return { number, bytes: null };
      case 2: {
        const length = this.#varint();
        if (this.#at + length > this.bytes.length) this.#cut();
        const bytes = this.bytes.subarray(this.#at, this.#at + length);
        this.#at += length;
        return { number, bytes };
      }
      case 5:
        this.#at += 4;
        return { number, bytes: null };
      default:
        return this.#cut();
    }
  }
}

/** `ModelProto.metadata_props`, and in each entry the key and the value. */
const properties = 14;
const [entryKey, entryValue] = [1, 2];
const graph = 7;

/**
 * The description in an ONNX file made by `sepc export`.
 * @throws ModelError when it is no ONNX file, or has none
 */
export function readModelSpec(bytes: Uint8Array, file = "model"): ModelSpec {
  const text = new TextDecoder();
  const model = new Fields(bytes, file);
  let hasGraph = false;
  let found: string | null = null;
  for (let field = model.next(); field !== null; field = model.next()) {
    hasGraph ||= field.number === graph && field.bytes !== null;
    if (field.number !== properties || field.bytes === null) continue;
    const entry = new Fields(field.bytes, file);
    const parts = new Map<number, string>();
    for (let part = entry.next(); part !== null; part = entry.next())
      if (part.bytes !== null) parts.set(part.number, text.decode(part.bytes));
    if (parts.get(entryKey) === metadataKey) found = parts.get(entryValue) ?? "";
  }
  if (!hasGraph) throw new ModelError(`${file}: not an ONNX file: it has no graph`);
  if (found === null)
    throw new ModelError(
      `${file}: an ONNX file, but not of sepc export: it says nothing of its classes and boxes`,
    );
  return parseModelSpec(found, file);
}
