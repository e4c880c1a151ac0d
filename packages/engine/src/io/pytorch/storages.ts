// What a pickle says of tensors, before any of their memory is read.
import { DTYPES, type DType, isDType } from "../../dtype.js";
import type { Described } from "../pickle/objects.js";

/** Elements of a kind of storage; `name` is PyTorch's name of the dtype, `bytes` its size. */
export interface ElementType {
  readonly name: string;
  readonly bytes: number;
}

/** By class name. Those that no DType stands for are known so that files holding them can be read past. */
const storageClasses: ReadonlyMap<string, ElementType> = new Map(
  Object.entries({
    FloatStorage: "float32",
    DoubleStorage: "float64",
    HalfStorage: "float16",
    BFloat16Storage: "bfloat16",
    LongStorage: "int64",
    IntStorage: "int32",
    ShortStorage: "int16",
    CharStorage: "int8",
    ByteStorage: "uint8",
    BoolStorage: "bool",
    UntypedStorage: "uint8",
    _UntypedStorage: "uint8",
    ComplexFloatStorage: "complex64",
    ComplexDoubleStorage: "complex128",
    QInt8Storage: "qint8",
    QUInt8Storage: "quint8",
    QInt32Storage: "qint32",
    QUInt4x2Storage: "quint4x2",
    QUInt2x4Storage: "quint2x4",
  }).map(([className, name]) => [className, { name, bytes: bytesOf(name) }]),
);

function bytesOf(name: string): number {
  if (isDType(name)) return DTYPES[name].bytes;
  return { complex64: 8, complex128: 16, qint32: 4 }[name] ?? 1;
}

/** What the class `module.name` holds; undefined when it is no storage. */
export function elementsOfStorage(module: string, name: string): ElementType | undefined {
  return /^torch(\.cuda|\.storage)?$/.test(module) ? storageClasses.get(name) : undefined;
}

/** One block of memory of the checkpoint; tensors that name the same key share it. */
export class PickledStorage {
  constructor(
    readonly key: string,
    readonly elements: ElementType,
    readonly numel: number,
  ) {}

  get bytes(): number {
    return this.numel * this.elements.bytes;
  }
}

/** A stretch of a storage, in its elements; mostly all of it. */
export class StorageSpan implements Described {
  constructor(
    readonly storage: PickledStorage,
    readonly first: number,
    readonly numel: number,
  ) {}

  describe(): string {
    return `a storage of ${this.numel} ${this.storage.elements.name}`;
  }
}

/** A tensor over a storage; `offset` and `strides` in elements of `dtype` from the storage's start. Checked. */
export class PickledTensor implements Described {
  constructor(
    readonly storage: PickledStorage,
    readonly dtype: DType,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
    readonly requiresGrad: boolean,
  ) {}

  describe(): string {
    return `a tensor of ${this.dtype} [${this.shape.join(", ")}]`;
  }

  withRequiresGrad(requiresGrad: boolean): PickledTensor {
    return new PickledTensor(
      this.storage,
      this.dtype,
      this.offset,
      this.shape,
      this.strides,
      requiresGrad && DTYPES[this.dtype].float,
    );
  }
}
