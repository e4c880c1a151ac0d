import { decodeImage, type RgbImage } from "../decode.js";
import { EngineError } from "../errors.js";
import { RandomStream } from "../random.js";
import type { TransformConfig } from "./config.js";
import { crop, type Window } from "./crop.js";
import { distort } from "./photometric.js";
import { resizeBilinear } from "./resize.js";

export type { TransformConfig } from "./config.js";

/** One picture to read and change: plain data, so that any thread can do it. */
export interface PictureRequest {
  readonly file: string;
  /** Pixels that the annotations say; a file of another size is refused, since its boxes would be wrong. */
  readonly fromWidth: number;
  readonly fromHeight: number;
  readonly window: Window | null;
  readonly width: number;
  readonly height: number;
  readonly flipped: boolean;
  /** Of the random numbers that colours are distorted by; null, they stay. */
  readonly distortKeys: readonly number[] | null;
}

/** How often the decoder may halve a picture so that it is still as large as it is shown. */
function halvings({ window, fromWidth, fromHeight, width, height }: PictureRequest): number {
  if (window !== null) return 0;
  return Math.max(0, Math.min(3, Math.floor(Math.log2(Math.min(fromWidth / width, fromHeight / height)))));
}

/** Reads, crops, distorts and resizes one picture; mirroring is left to {@link collate}. */
export async function preparePicture(request: PictureRequest, config: TransformConfig): Promise<RgbImage> {
  const { file, fromWidth, fromHeight, window, width, height, distortKeys } = request;
  const shrink = config.shrinkOnLoad ? 2 ** halvings(request) : 1;
  const picture = await decodeImage(file, { shrink });
  const { originalWidth, originalHeight } = picture;
  if (originalWidth !== fromWidth || originalHeight !== fromHeight) {
    const turned = originalWidth === fromHeight && originalHeight === fromWidth;
    throw new EngineError(
      "FILE",
      `${file}: the picture has ${originalWidth}x${originalHeight} pixels, its annotations say ${fromWidth}x${fromHeight}` +
        `${turned ? " (its EXIF orientation turns it, and the annotations may not know)" : ""}; ` +
        "boxes would be wrong. `sepc data check` lists all such pictures",
    );
  }
  let image: RgbImage = picture;
  if (window !== null) image = crop(image, window);
  if (distortKeys !== null) image = distort(image, new RandomStream(...distortKeys));
  return resizeBilinear(image, width, height);
}

/** For each of 256 values of a channel its normalised one. */
function normalisations({ mean, std }: TransformConfig): Float32Array[] {
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
  config: TransformConfig,
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
