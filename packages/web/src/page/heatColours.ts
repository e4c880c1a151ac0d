import type { HeatMap } from "@sepc/core/runtime";

/** Viridis at equal steps: even in lightness, and told apart by colour-blind readers. */
const stops = [
  [68, 1, 84],
  [72, 40, 120],
  [62, 74, 137],
  [49, 104, 142],
  [38, 130, 142],
  [31, 158, 137],
  [53, 183, 121],
  [109, 205, 89],
  [180, 222, 44],
  [253, 231, 37],
] as const;

/** Colour of a value between 0 and 1, each channel 0-255. */
export function heatColour(value: number): [red: number, green: number, blue: number] {
  const at = Math.min(Math.max(value, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(at), stops.length - 2);
  const share = at - below;
  const [from, to] = [stops[below], stops[below + 1]] as [readonly number[], readonly number[]];
  return [0, 1, 2].map((c) => Math.round((from[c] as number) * (1 - share) + (to[c] as number) * share)) as [
    number,
    number,
    number,
  ];
}

/** RGBA of a map, from its least to its largest value; one pixel for each cell. */
export function heatPixels({ values, width, height, least, most }: HeatMap): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(width * height * 4);
  const range = most - least || 1;
  for (const [cell, value] of values.entries())
    out.set([...heatColour((value - least) / range), 255], 4 * cell);
  return out;
}
