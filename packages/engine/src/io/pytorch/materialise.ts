import { empty } from "../../create.js";
import { tensorOp } from "../../door.js";
import { DTYPES, type DType, isDType } from "../../dtype.js";
import { EngineError } from "../../errors.js";
import { keep, scope } from "../../scope.js";
import type { Device, Tensor } from "../../tensor.js";
import { type Described, PickledObject, quoted } from "../pickle/objects.js";
import { NumpyArray, NumpyDType } from "../pickle/python.js";
import type { Source } from "../source.js";
import { type TensorFiller, withFiller } from "../tensorBytes.js";
import type { Checkpoint } from "./checkpoint.js";
import { crc32 } from "./crc32.js";
import { ignoreHint } from "./host.js";
import { type PickledStorage, PickledTensor, StorageSpan } from "./storages.js";
import { PickledVariable } from "./variables.js";

const asStrided = tensorOp("aten::as_strided");
const asStridedInPlace = tensorOp("aten::as_strided_");
const viewAs = tensorOp("aten::view.dtype");
const detach = tensorOp("aten::detach");
const toCopy = tensorOp("aten::_to_copy");

/** A bool of another byte than 0 and 1 is undefined behaviour in libtorch. */
function mendBools(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) > 1) bytes[i] = 1;
}

type Layout = Pick<PickledTensor, "dtype" | "offset" | "shape" | "strides">;

/** The tensor itself, looking at its memory in another way. */
function reshaped(
  tensor: Tensor,
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
): Tensor {
  asStridedInPlace(tensor, shape, strides, offset);
  return tensor;
}

/** Strides of a whole array, in elements. */
function denseStrides(shape: readonly number[], fortran: boolean): number[] {
  const strides = Array<number>(shape.length).fill(1);
  const order = [...shape.keys()];
  if (!fortran) order.reverse();
  let stride = 1;
  for (const dimension of order) {
    strides[dimension] = stride;
    stride *= Math.max(shape[dimension] as number, 1);
  }
  return strides;
}

/** Makes the tensors that a pickle describes; tensors of one storage share its memory. */
class TensorMaker {
  /** A tensor over each storage that was read. */
  readonly #holders = new Map<PickledStorage, Tensor>();
  /** Those of them that are not part of the result. */
  readonly #spare: Tensor[] = [];
  readonly #made = new Map<object, Tensor>();

  constructor(
    readonly source: Source,
    readonly checkpoint: Checkpoint,
    readonly device: Device,
    readonly filler: TensorFiller,
  ) {}

  /** What stands for a value of the pickle in the result; containers stand for themselves. */
  convert(value: unknown): unknown {
    if (value instanceof PickledTensor)
      return this.#once(value, () => this.#tensor(value), value.requiresGrad);
    if (value instanceof PickledVariable) return this.convert(value.tensor ?? this.#refuse(value));
    if (value instanceof StorageSpan) return this.#storage(value);
    if (value instanceof NumpyArray) return value.unsupported ?? this.#once(value, () => this.#array(value));
    if (value instanceof NumpyDType) return `${value.bigEndian ? ">" : ""}${value.code}`;
    return value;
  }

  #refuse(what: string | Described): never {
    const message = typeof what === "string" ? what : what.describe();
    throw new EngineError("PYTORCH_INVALID", `${this.source.name}: pickle: ${message}`);
  }

  /** Frees what is not part of the result. */
  finish(): void {
    for (const tensor of this.#spare) tensor.free();
  }

  /** Frees all. */
  abandon(): void {
    for (const tensor of this.#made.values()) tensor.free();
    this.finish();
  }

  #once(key: object, make: () => Tensor, requiresGrad = false): Tensor {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const tensor = scope(make);
    this.#made.set(key, tensor);
    if (requiresGrad) tensor.requiresGrad = true;
    return tensor;
  }

  #tensor({ storage, dtype, offset, shape, strides }: PickledTensor): Tensor {
    if (shape.includes(0)) return reshaped(empty([0], { dtype, device: this.device }), shape, strides, 0);
    const holder = this.#holders.get(storage);
    if (holder !== undefined) return this.#beside(holder, storage, { dtype, offset, shape, strides });
    const fits = storage.bytes % DTYPES[dtype].bytes === 0;
    const memory = this.#read(storage, fits ? dtype : "uint8");
    this.#holders.set(storage, memory);
    // The first tensor is the one that read the memory, and so the one that reports its size.
    if (fits) return reshaped(memory, shape, strides, offset);
    this.#spare.push(keep(memory));
    return this.#beside(memory, storage, { dtype, offset, shape, strides });
  }

  /** Another tensor over a holder's memory: detached, it is no view for autograd. */
  #beside(holder: Tensor, storage: PickledStorage, layout: Layout): Tensor {
    const { dtype, offset, shape, strides } = layout;
    if (holder.dtype === dtype) return detach(asStrided(holder, shape, strides, offset));
    const itemBytes = DTYPES[dtype].bytes;
    const whole = (storage.bytes - (storage.bytes % itemBytes)) / DTYPES[holder.dtype].bytes;
    return detach(asStrided(viewAs(asStrided(holder, [whole], [1], 0), dtype), shape, strides, offset));
  }

  /** A storage that is itself a value: its elements in one dimension. */
  #storage({ storage, first, numel }: StorageSpan): Tensor | PickledObject {
    const { name } = storage.elements;
    if (!isDType(name)) {
      if (this.checkpoint.unknown === "refuse")
        this.#refuse(`storages of ${name} cannot be read; ${ignoreHint}`);
      return new PickledObject("torch", "Storage", [name, numel]);
    }
    const key = new PickledTensor(storage, name, first, [numel], [1], false);
    return this.#once(key, () => this.#tensor(key));
  }

  #array({ shape, dtype, fortran, bytes }: NumpyArray): Tensor {
    if (bytes === undefined) return this.#refuse("a numpy array without contents");
    const memory = empty([bytes.length / DTYPES[dtype].bytes], { dtype });
    this.#fill(memory, (piece, at) => piece.set(bytes.subarray(at, at + piece.length)));
    const array = reshaped(memory, shape, denseStrides(shape, fortran), 0);
    return this.device === "cpu" ? array : toCopy(array, { device: this.device });
  }

  #fill(memory: Tensor, read: (bytes: Uint8Array, at: number) => void): void {
    const isBool = memory.dtype === "bool";
    this.filler.fill(memory, (bytes, at) => {
      read(bytes, at);
      if (isBool) mendBools(bytes);
    });
  }

  #read(storage: PickledStorage, dtype: DType): Tensor {
    const { offset, crc: expected } = this.checkpoint.place(storage);
    return scope(() => {
      const memory = empty([storage.bytes / DTYPES[dtype].bytes], { dtype });
      let crc = 0;
      const read = (bytes: Uint8Array, at: number): void => {
        this.source.readInto(bytes, offset + at);
        if (expected !== undefined) crc = crc32(bytes, crc);
      };
      this.#fill(memory, read);
      if (expected !== undefined && crc !== expected) {
        throw new EngineError(
          "PYTORCH_INVALID",
          `${this.source.name}: storage ${quoted(storage.key)} is damaged: expected CRC ${expected}, got ${crc}`,
        );
      }
      return this.device === "cpu" ? memory : toCopy(memory, { device: this.device });
    });
  }
}

/** Replaces what a container holds. */
function convertWithin(container: object, convert: (value: unknown) => unknown): void {
  if (Array.isArray(container)) {
    for (let i = 0; i < container.length; i++) container[i] = convert(container[i]);
  } else if (container instanceof Map) {
    const entries = [...container];
    container.clear();
    for (const [key, value] of entries) container.set(convert(key), convert(value));
  } else if (container instanceof Set) {
    const elements = [...container];
    container.clear();
    for (const element of elements) container.add(convert(element));
  } else if (container instanceof PickledObject) {
    container.state = convert(container.state);
    convertWithin(container.items, convert);
    convertWithin(container.args as unknown[], convert);
  }
}

const isContainer = (value: unknown): value is object =>
  Array.isArray(value) || value instanceof Map || value instanceof Set || value instanceof PickledObject;

/** Converts `root` and all it holds, however deep, and in itself as it may be. */
function convertAll(root: unknown, maker: TensorMaker): unknown {
  const seen = new Set<unknown>();
  const open: object[] = [];
  const convert = (value: unknown): unknown => {
    const converted = maker.convert(value);
    if (isContainer(converted) && !seen.has(converted)) {
      seen.add(converted);
      open.push(converted);
    }
    return converted;
  };
  const result = convert(root);
  for (let next = open.pop(); next !== undefined; next = open.pop()) convertWithin(next, convert);
  return result;
}

/** Puts tensors in the places of their descriptions, in `root` and all it holds. Only their storages are read. */
export function materialise(root: unknown, source: Source, checkpoint: Checkpoint, device: Device): unknown {
  return withFiller((filler) => {
    const maker = new TensorMaker(source, checkpoint, device, filler);
    try {
      const result = convertAll(root, maker);
      maker.finish();
      return result;
    } catch (error) {
      maker.abandon();
      throw error;
    }
  });
}
