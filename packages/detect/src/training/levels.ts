import type { LevelSize } from "@sepc/core";
import { type Device, fromTypedArray, type Tensor } from "@sepc/engine";

/** One value for each prior, `[P, 1]`, from one for each level; `counts` are the priors of each level. */
export function perPrior(values: readonly number[], counts: readonly number[], device: Device): Tensor {
  const all = Float32Array.from(
    counts.flatMap((count, level) => Array<number>(count).fill(values[level] as number)),
  );
  return fromTypedArray(all, [all.length, 1]).to({ device });
}

/** int64 `[P]`: the level of each prior, where cells have one each. */
export function levelOfPriors(sizes: readonly LevelSize[], device: Device): Tensor {
  const all = BigInt64Array.from(
    sizes.flatMap(([height, width], level) => Array<bigint>(height * width).fill(BigInt(level))),
  );
  return fromTypedArray(all, [all.length]).to({ device });
}

/** Sum of values `[M]` by their levels, int64 `[M]` -> `[L]`. */
export const sumByLevel = (values: Tensor, levels: Tensor, count: number): Tensor =>
  values.newZeros([count]).indexAdd(0, levels, values);

/** A loss `[L]` as one scalar for each level: "loss_cls.0", "loss_cls.1" ... */
export function namedByLevel(name: string, losses: Tensor): Record<string, Tensor> {
  return Object.fromEntries(losses.unbind(0).map((loss, level) => [`${name}.${level}`, loss]));
}
