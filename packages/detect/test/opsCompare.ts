import type { Tensor } from "@sepc/engine";
import { expect } from "vitest";

/** The largest difference over the largest value. */
export function difference(a: Tensor, b: Tensor): number {
  expect(a.shape).toEqual(b.shape);
  if (a.numel === 0) return 0;
  return a.sub(b).abs().max().item() / Math.max(1, b.abs().max().item());
}

export const values = (x: Tensor): number[] => Array.from(x.toTypedArray() as Float32Array);

export const channelsLast = (x: Tensor): Tensor => x.contiguous("channelsLast");
