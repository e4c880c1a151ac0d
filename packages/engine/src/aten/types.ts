import type { GeneratorHandle, Opaque } from "../door.js";
import type { DType } from "../dtype.js";
import type { Device, Tensor } from "../tensor.js";
import type { Overloads } from "./schemas.generated.js";

// The words in which schemas.generated.ts is written; one letter each keeps it small.

export type T = Tensor;
/** `Tensor?` */
export type TN = Tensor | null;
/** `Tensor[]` */
export type TL = readonly Tensor[];
/** `Tensor?[]` */
export type TNL = readonly (Tensor | null)[];
/** `int`: a bigint where 2^53 does not reach. */
export type I = number | bigint;
/** `int[]` */
export type IL = readonly I[];
/** `int[2]`: one number stands for all. */
export type IX = I | IL;
/** `Scalar` */
export type S = number | bigint | boolean;
/** `float[]` and `Scalar[]` */
export type NL = readonly S[];
export type B = boolean;
export type Str = string;
/** `ScalarType` */
export type D = DType | "complex32" | "complex64" | "complex128" | "qint8" | "quint8" | "qint32" | "quint4x2";
export type L = "strided" | "sparse_coo" | "sparse_csr";
export type M = "contiguous" | "preserve" | "channels_last" | "channels_last_3d";
export type V = Device | (string & {});
export type G = GeneratorHandle;
/** What JavaScript can only pass on: streams, storages, script objects. */
export type O = Opaque;

/** Names of overloads as `op` and libtorch write them, without the namespace: "add.Tensor", "relu". */
export type OverloadName = keyof Overloads;

type NameOf<N extends string, K extends string> = K extends "default" ? N : `${N}.${K}`;
type Overload<N extends string, K extends string> =
  NameOf<N, K> extends OverloadName ? Overloads[NameOf<N, K>] : never;

type Calls<N extends string, K extends readonly string[]> = K extends readonly [
  infer First extends string,
  ...infer Rest extends readonly string[],
]
  ? Overload<N, First> & Calls<N, Rest>
  : unknown;

/** An operator with its overloads `K`: callable (the first that fits the arguments), and each by its name. */
export type P<N extends string, K extends readonly string[] = ["default"]> = Calls<N, K> & {
  readonly [Name in K[number]]: Overload<N, Name>;
};
