/** Element types of tensors, in the spelling of NumPy and PyTorch. */
export type DType =
  | "float32"
  | "float64"
  | "float16"
  | "bfloat16"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint8"
  | "bool";

export type TypedArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array;

interface DTypeTraits {
  readonly bytes: number;
  readonly float: boolean;
  /** How elements look in JavaScript; halves are their bits. */
  readonly array: new (
    buffer: ArrayBuffer,
  ) => TypedArray;
}

export const DTYPES: Readonly<Record<DType, DTypeTraits>> = {
  float32: { bytes: 4, float: true, array: Float32Array },
  float64: { bytes: 8, float: true, array: Float64Array },
  float16: { bytes: 2, float: true, array: Uint16Array },
  bfloat16: { bytes: 2, float: true, array: Uint16Array },
  int64: { bytes: 8, float: false, array: BigInt64Array },
  int32: { bytes: 4, float: false, array: Int32Array },
  int16: { bytes: 2, float: false, array: Int16Array },
  int8: { bytes: 1, float: false, array: Int8Array },
  uint8: { bytes: 1, float: false, array: Uint8Array },
  bool: { bytes: 1, float: false, array: Uint8Array },
};

export function isDType(name: string): name is DType {
  return Object.hasOwn(DTYPES, name);
}

/** The element type that a typed array holds; for Uint16Array say whether it is "float16" or "bfloat16". */
export function dtypeOf(array: TypedArray): DType | undefined {
  if (array instanceof Float32Array) return "float32";
  if (array instanceof Float64Array) return "float64";
  if (array instanceof BigInt64Array) return "int64";
  if (array instanceof Int32Array) return "int32";
  if (array instanceof Int16Array) return "int16";
  if (array instanceof Int8Array) return "int8";
  if (array instanceof Uint8Array || array instanceof Uint8ClampedArray) return "uint8";
  return undefined;
}
