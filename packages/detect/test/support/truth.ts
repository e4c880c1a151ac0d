import { fromTypedArray } from "@sepc/engine";
import type { Truth } from "../../src/detectors/index.js";

/** Two objects that overlap, of classes 0 and 2, in a picture of `side` pixels (96 at least). */
export const twoObjects = (side: number): Truth => ({
  boxes: fromTypedArray(Float32Array.of(8, 8, 56, 56, 40, 30, 92, 90), [2, 4]),
  labels: fromTypedArray(BigInt64Array.of(0n, 2n), [2]),
  ignored: null,
  size: [side, side],
  padded: [side, side],
});
