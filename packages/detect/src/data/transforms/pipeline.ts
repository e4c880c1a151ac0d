import { decodeImage, type RgbImage } from "../decode.js";
import { RandomStream } from "../random.js";
import type { ImageRecord, Sample } from "../types.js";
import { crop, cropBoxes, randomWindow } from "./crop.js";
import { distort } from "./photometric.js";
import { keepRatio, resizeBilinear } from "./resize.js";

/** What happens to a picture on its way into the network. Plain data: it goes to worker threads. */
export interface TransformConfig {
  /** Longer and shorter side in pixels; one pair, or several to draw from. */
  readonly scales: readonly (readonly [number, number])[];
  /** Of several pairs: one of them, or anything between the first two. */
  readonly draw: "value" | "range";
  /** Probabilities, 0-1. */
  readonly flip: number;
  readonly crop: number;
  readonly photometric: number;
  /** Sides are padded to a multiple of it. */
  readonly sizeDivisor: number;
  /** Of each channel, 0-255, in the order of `channels`. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  readonly channels: "rgb" | "bgr";
}

/** A sample and its picture, not yet normalised. */
export interface Prepared {
  readonly sample: Sample;
  readonly picture: RgbImage;
}

function drawScale({ scales, draw }: TransformConfig, random: RandomStream): readonly [number, number] {
  const first = scales[0] as readonly [number, number];
  if (scales.length === 1) return first;
  if (draw === "value") return random.pick(scales);
  const second = scales[1] as readonly [number, number];
  const side = (i: 0 | 1): number =>
    random.whole(Math.min(first[i], second[i]), Math.max(first[i], second[i]));
  return [side(0), side(1)];
}

function mirror(picture: RgbImage): RgbImage {
  const { width, height, data } = picture;
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [from, to] = [(y * width + x) * 3, (y * width + width - 1 - x) * 3];
      out[to] = data[from] as number;
      out[to + 1] = data[from + 1] as number;
      out[to + 2] = data[from + 2] as number;
    }
  }
  return { data: out, width, height };
}

/** Boxes of a picture `[K, 4]`, then those of its crowds. */
function boxesOf({ objects }: ImageRecord): { all: Float32Array; labels: number[]; crowd: boolean[] } {
  const useful = objects.filter(({ box }) => box[2] > box[0] && box[3] > box[1]);
  return {
    all: Float32Array.from(useful.flatMap(({ box }) => [...box])),
    labels: useful.map(({ label }) => label),
    crowd: useful.map(({ crowd }) => crowd),
  };
}

/** Reads and transforms one picture; `keys` decide all that is random. */
export async function prepare(
  image: ImageRecord,
  config: TransformConfig,
  keys: readonly number[],
): Promise<Prepared> {
  const random = new RandomStream(...keys);
  let picture = await decodeImage(image.file);
  let { all, labels, crowd } = boxesOf(image);
  if (random.next() < config.photometric) picture = distort(picture, random);
  if (random.next() < config.crop) {
    const window = randomWindow(picture.width, picture.height, random);
    const kept = cropBoxes(all, window);
    // A part without objects teaches less than the whole.
    if (kept.rows.length > 0 || all.length === 0) {
      picture = crop(picture, window);
      labels = kept.rows.map((row) => labels[row] as number);
      crowd = kept.rows.map((row) => crowd[row] as boolean);
      all = kept.boxes;
    }
  }
  const [width, height] = keepRatio(picture.width, picture.height, drawScale(config, random));
  const [scaleX, scaleY] = [width / picture.width, height / picture.height];
  picture = resizeBilinear(picture, width, height);
  const boxes = all.map((value, i) => value * (i % 2 === 0 ? scaleX : scaleY));
  const flipped = random.next() < config.flip;
  if (flipped) {
    picture = mirror(picture);
    for (let i = 0; i < boxes.length; i += 4)
      [boxes[i], boxes[i + 2]] = [width - (boxes[i + 2] as number), width - (boxes[i] as number)];
  }
  const pick = (want: boolean): number[] => crowd.flatMap((is, row) => (is === want ? [row] : []));
  const rowsOf = (rows: readonly number[]): Float32Array =>
    Float32Array.from(rows.flatMap((row) => [...boxes.subarray(4 * row, 4 * row + 4)]));
  const objects = pick(false);
  const sample: Sample = {
    image,
    width,
    height,
    scaleX,
    scaleY,
    flipped,
    boxes: rowsOf(objects),
    labels: Int32Array.from(objects, (row) => labels[row] as number),
    crowdBoxes: rowsOf(pick(true)),
  };
  return { sample, picture };
}

/** Pictures side by side in one normalised tensor `[N, 3, H, W]`, padded to the largest and to the divisor. */
export function collate(
  pictures: readonly RgbImage[],
  config: TransformConfig,
): { pixels: Float32Array; shape: [number, number, number, number] } {
  const up = (side: number): number => Math.ceil(side / config.sizeDivisor) * config.sizeDivisor;
  const height = up(Math.max(...pictures.map((picture) => picture.height)));
  const width = up(Math.max(...pictures.map((picture) => picture.width)));
  const pixels = new Float32Array(pictures.length * 3 * height * width);
  for (const [n, picture] of pictures.entries()) {
    for (let channel = 0; channel < 3; channel++) {
      const from = config.channels === "rgb" ? channel : 2 - channel;
      const [mean, scale] = [config.mean[channel] as number, 1 / (config.std[channel] as number)];
      const plane = (n * 3 + channel) * height * width;
      for (let y = 0; y < picture.height; y++) {
        let source = y * picture.width * 3 + from;
        const row = plane + y * width;
        for (let x = 0; x < picture.width; x++, source += 3)
          pixels[row + x] = ((picture.data[source] as number) - mean) * scale;
      }
    }
  }
  return { pixels, shape: [pictures.length, 3, height, width] };
}
