import { empty } from "../create.js";
import { tensorOp } from "../door.js";
import { DTYPES, isDType } from "../dtype.js";
import { check, EngineError } from "../errors.js";
import { scope } from "../scope.js";
import { type Device, Tensor } from "../tensor.js";
import { writeAtomically } from "./atomicWrite.js";
import { encodeHeader, parseHeader, type SafetensorsHeader, type TensorEntry } from "./safetensorsHeader.js";
import { fromMemory, openFile, type Source, withFile } from "./source.js";
import { eachPiece, type TensorFiller, withFiller } from "./tensorBytes.js";

const toCopy = tensorOp("aten::_to_copy");
const contiguous = tensorOp("aten::contiguous");
const resolveNeg = tensorOp("aten::resolve_neg");

function load(source: Source, entry: TensorEntry, device: Device, filler: TensorFiller): Tensor {
  return scope(() => {
    const tensor = empty(entry.shape, { dtype: entry.dtype });
    filler.fill(tensor, (bytes, at) => source.readInto(bytes, entry.offset + at));
    return device === "cpu" ? tensor : toCopy(tensor, { device });
  });
}

function entryOf(source: Source, header: SafetensorsHeader, name: string): TensorEntry {
  const entry = header.entries.get(name);
  if (entry === undefined) throw new EngineError("BAD_ARGUMENT", `${source.name}: no tensor "${name}"`);
  return entry;
}

export interface ReadOptions {
  /** Read only these tensors. */
  readonly names?: readonly string[] | undefined;
  readonly device?: Device | undefined;
}

/** Maps, because any text may be a tensor's name: "__proto__" too. */
export interface Safetensors {
  readonly tensors: Map<string, Tensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

function readFrom(source: Source, options: ReadOptions): Safetensors {
  const header = parseHeader(source);
  const wanted = options.names ?? [...header.entries.keys()];
  return withFiller((filler) =>
    scope(() => {
      const tensors = new Map<string, Tensor>();
      for (const name of wanted)
        tensors.set(name, load(source, entryOf(source, header, name), options.device ?? "cpu", filler));
      return { tensors, metadata: header.metadata };
    }),
  );
}

/**
 * Reads a safetensors file straight into tensors; names as in the file.
 * @throws EngineError FILE, FILE_TRUNCATED or SAFETENSORS_INVALID, naming the file and what is wrong.
 */
export function readSafetensors(path: string, options: ReadOptions = {}): Safetensors {
  return withFile(path, (source) => readFrom(source, options));
}

/** Reads a file held in memory. */
export function parseSafetensors(bytes: Uint8Array, options: ReadOptions = {}): Safetensors {
  return readFrom(fromMemory(bytes), options);
}

/** What a file holds, without reading its tensors. */
export function inspectSafetensors(path: string): SafetensorsHeader {
  return withFile(path, parseHeader);
}

/** A file that stays open, to read its tensors one by one. */
export class SafetensorsFile implements SafetensorsHeader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly #source: Source;
  #open = true;

  /** @internal Use {@link openSafetensors}. */
  constructor(source: Source) {
    ({ entries: this.entries, metadata: this.metadata } = parseHeader(source));
    this.#source = source;
  }

  /** Reads one tensor. @throws EngineError BAD_ARGUMENT when the file has none of that name, or is closed. */
  read(name: string, options: { readonly device?: Device | undefined } = {}): Tensor {
    check(this.#open, () => `${this.#source.name}: read("${name}") after close()`);
    const entry = entryOf(this.#source, this, name);
    return withFiller((filler) => load(this.#source, entry, options.device ?? "cpu", filler));
  }

  /** Closing twice is allowed. */
  close(): void {
    if (this.#open) this.#source.close();
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Opens a file and reads its header; tensors are read when asked for.
 * @throws EngineError as {@link readSafetensors}.
 */
export function openSafetensors(path: string): SafetensorsFile {
  const source = openFile(path);
  try {
    return new SafetensorsFile(source);
  } catch (error) {
    source.close();
    throw error;
  }
}

function checkWritable(tensors: ReadonlyMap<string, Tensor>, metadata: ReadonlyMap<string, string>): void {
  const isMap = tensors instanceof Map && metadata instanceof Map;
  check(isMap, () => "writeSafetensors: expected a Map of tensors and, if any, a Map of metadata");
  for (const [name, value] of metadata) {
    check(
      typeof name === "string" && typeof value === "string",
      () => `writeSafetensors: expected metadata of text, got ${typeof value} for ${JSON.stringify(name)}`,
    );
  }
  for (const [name, tensor] of tensors) {
    check(typeof name === "string", () => `writeSafetensors: expected names of text, got ${String(name)}`);
    check(name !== "__metadata__", () => 'writeSafetensors: "__metadata__" cannot name a tensor');
    check(
      tensor instanceof Tensor,
      () =>
        `writeSafetensors: ${JSON.stringify(name)}: expected a Tensor, got ${Object.prototype.toString.call(tensor).slice(8, -1)}`,
    );
    const { dtype } = tensor;
    check(
      isDType(dtype),
      () =>
        `writeSafetensors: "${name}": expected a dtype of ${Object.keys(DTYPES).join(", ")}, got ${dtype}`,
    );
  }
}

/**
 * Writes tensors of any device and layout. The file appears whole or not at all: it is written beside its place, flushed
 * to disk, then renamed.
 * @throws EngineError FILE when it cannot be written, BAD_ARGUMENT for a dtype that the format cannot hold and for names
 * and metadata that are no text; what stood there before is untouched.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): void {
  checkWritable(tensors, metadata);
  // Wide elements first keep every tensor aligned to its element.
  const order = [...tensors]
    .map(([name, tensor]) => ({ name, tensor, dtype: tensor.dtype, shape: tensor.shape }))
    .sort(
      (a, b) =>
        DTYPES[b.dtype].bytes - DTYPES[a.dtype].bytes || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
    );
  const header = encodeHeader(order, metadata);
  writeAtomically(path, (write) => {
    write(header);
    for (const { tensor } of order) {
      scope(() => {
        const local = tensor.device === "cpu" ? tensor : toCopy(tensor, { device: "cpu" });
        eachPiece(contiguous(resolveNeg(local)), write);
      });
    }
  });
}
