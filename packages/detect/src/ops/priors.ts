import {
  type AnchorPriors,
  anchorGrid,
  type LevelSize,
  type PointPriors,
  type PriorSpec,
  pointGrid,
  priorsPerCell,
  validPriors,
} from "@sepc/core";
import { type Device, fromTypedArray, type Tensor } from "@sepc/engine";

function joined<T extends Float32Array | Uint8Array>(parts: readonly T[], make: (length: number) => T): T {
  const out = make(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Anchors of all levels in pixels, `[P, 4]`: level by level, row by row, in each cell anchor by anchor. */
export function anchorTensor(
  spec: AnchorPriors,
  sizes: readonly LevelSize[],
  device: Device = "cpu",
): Tensor {
  const grids = sizes.map((size, level) => anchorGrid(spec, level, size));
  const all = joined(grids, (length) => new Float32Array(length));
  return fromTypedArray(all, [all.length / 4, 4]).to({ device });
}

/** Points of all levels in pixels, `[P, 2]` as x, y: level by level, row by row. */
export function pointTensor(spec: PointPriors, sizes: readonly LevelSize[], device: Device = "cpu"): Tensor {
  const grids = sizes.map((size, level) => pointGrid(spec, level, size));
  const all = joined(grids, (length) => new Float32Array(length));
  return fromTypedArray(all, [all.length / 2, 2]).to({ device });
}

/** bool `[P]`: priors that lie over padding only, in an image of `[height, width]` pixels. */
export function paddingPriors(
  spec: PriorSpec,
  sizes: readonly LevelSize[],
  image: readonly [number, number],
  device: Device = "cpu",
): Tensor {
  const flags = sizes.map((size, level) =>
    validPriors(priorsPerCell(spec), spec.strides[level] as number, size, image),
  );
  const all = joined(flags, (length) => new Uint8Array(length));
  for (let i = 0; i < all.length; i++) all[i] = 1 - (all[i] as number);
  return fromTypedArray(all, [all.length], { dtype: "bool" }).to({ device });
}
