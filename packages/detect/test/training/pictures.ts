import { fromTypedArray, type Tensor } from "@sepc/engine";

/** `[x1, y1, x2, y2]` in pixels. */
export type Corners = readonly [number, number, number, number];

/** Numbers in [0, 1) that are the same in every run. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** `count` boxes inside a picture of `side` pixels. */
export function randomBoxes(random: () => number, count: number, side: number): Corners[] {
  return Array.from({ length: count }, () => {
    const [width, height] = [8 + random() * side * 0.6, 8 + random() * side * 0.6];
    const [x, y] = [random() * (side - width), random() * (side - height)];
    return [x, y, x + width, y + height];
  });
}

/** Rows as a tensor, `[N, width]`. */
export const rowsOf = (rows: readonly (readonly number[])[], width: number): Tensor =>
  fromTypedArray(Float32Array.from(rows.flat()), [rows.length, width]);

/** An int64 tensor's numbers. */
export const numbersOf = (x: Tensor): number[] => Array.from(x.toTypedArray() as BigInt64Array, Number);
