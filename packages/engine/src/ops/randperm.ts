import type { DType } from "../dtype.js";
import type { Device, Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { optionsOf } from "./options.js";
import type { StreamOptions } from "./random.js";

export interface PermutationOptions extends StreamOptions {
  /** int64 unless told. */
  readonly dtype?: DType | undefined;
  readonly device?: Device | undefined;
}
const permutationOptions = optionsOf("randperm", {
  dtype: "int64",
  device: "cpu",
  generator: null,
} as PermutationOptions);
const randpermOp = use("randperm.generator");
/** 0 to n - 1 in random order. */
export function randperm(n: number, options?: PermutationOptions): Tensor {
  const { generator = null, dtype, device } = permutationOptions(options);
  return randpermOp(n, { generator, dtype, device });
}
