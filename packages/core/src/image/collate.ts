import type { RgbImage } from "./rgb.js";

/** How 8 bit pixels become a network's numbers. */
export interface Normalisation {
  /** Sides are padded to a multiple of it. */
  readonly sizeDivisor: number;
  /** Of each channel, 0-255, in the order of `channels`. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  readonly channels: "rgb" | "bgr";
}

/** For each of 256 values of a channel its normalised one. */
function normalisations({ mean, std }: Normalisation): Float32Array[] {
  return [0, 1, 2].map((channel) => {
    const [middle, scale] = [mean[channel] as number, 1 / (std[channel] as number)];
    return Float32Array.from({ length: 256 }, (_, value) => (value - middle) * scale);
  });
}

/**
 * Pictures side by side in one normalised tensor `[N, 3, H, W]`, padded to the largest and to the divisor with zeros.
 * Those named in `mirrored` are turned left to right.
 */
export function collate(
  pictures: readonly RgbImage[],
  config: Normalisation,
  mirrored: readonly boolean[] = [],
): { pixels: Float32Array<ArrayBuffer>; shape: [number, number, number, number] } {
  const up = (side: number): number => Math.ceil(side / config.sizeDivisor) * config.sizeDivisor;
  const height = up(Math.max(...pictures.map((picture) => picture.height)));
  const width = up(Math.max(...pictures.map((picture) => picture.width)));
  const plane = height * width;
  const pixels = new Float32Array(pictures.length * 3 * plane);
  const tables = normalisations(config);
  const [red, green, blue] = config.channels === "rgb" ? [0, 1, 2] : [2, 1, 0];
  for (const [n, { data, width: w, height: h }] of pictures.entries()) {
    const [forRed, forGreen, forBlue] = [tables[red], tables[green], tables[blue]] as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const [r, g, b] = [red, green, blue].map((channel) => (n * 3 + channel) * plane) as [
      number,
      number,
      number,
    ];
    const step = mirrored[n] ? -1 : 1;
    for (let y = 0, at = 0; y < h; y++) {
      let to = y * width + (mirrored[n] ? w - 1 : 0);
      for (let x = 0; x < w; x++, at += 3, to += step) {
        pixels[r + to] = forRed[data[at] as number] as number;
        pixels[g + to] = forGreen[data[at + 1] as number] as number;
        pixels[b + to] = forBlue[data[at + 2] as number] as number;
      }
    }
  }
  return { pixels, shape: [pictures.length, 3, height, width] };
}
