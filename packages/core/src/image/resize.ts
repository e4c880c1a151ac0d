import type { RgbImage } from "./rgb.js";

/** Weights are whole numbers in 2^11 parts, as OpenCV's. */
const one = 2048;

/**
 * For each new place along a side four numbers: where the two old places begin that it lies between, and the weights of
 * both. One array: they are read together.
 */
type Taps = Int32Array;

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * Centres of pixels lie at halves; beyond the outermost centres the border's pixel is repeated.
 * @param stride from the beginning of one old place to the next
 */
function tapsOf(from: number, to: number, stride: number): Taps {
  const taps = new Int32Array(4 * to);
  const step = 1 / (to / from);
  for (let i = 0; i < to; i++) {
    const at = Math.fround((i + 0.5) * step - 0.5);
    const floor = Math.floor(at);
    const share = Math.fround(at - floor);
    taps[4 * i] = Math.min(Math.max(floor, 0), from - 1) * stride;
    taps[4 * i + 1] = Math.min(Math.max(floor + 1, 0), from - 1) * stride;
    taps[4 * i + 2] = roundHalfToEven(Math.fround(1 - share) * one);
    taps[4 * i + 3] = roundHalfToEven(share * one);
  }
  return taps;
}

/** The row that begins at `start` in its new width, values times 2^7: they fit 16 bits. */
function stretchRow(data: Uint8Array, start: number, taps: Taps, row: Int16Array): void {
  for (let i = 0, at = 0; i < taps.length; i += 4, at += 3) {
    const l = start + (taps[i] as number);
    const r = start + (taps[i + 1] as number);
    const u = taps[i + 2] as number;
    const v = taps[i + 3] as number;
    row[at] = (Math.imul(u, data[l] as number) + Math.imul(v, data[r] as number)) >> 4;
    row[at + 1] = (Math.imul(u, data[l + 1] as number) + Math.imul(v, data[r + 1] as number)) >> 4;
    row[at + 2] = (Math.imul(u, data[l + 2] as number) + Math.imul(v, data[r + 2] as number)) >> 4;
  }
}

/** Two stretched rows mixed into one of the picture. */
function mixRows(upper: Int16Array, lower: Int16Array, u: number, v: number, out: Uint8Array): void {
  for (let i = 0; i < out.length; i++) {
    const a = Math.imul(u, upper[i] as number) >> 16;
    const b = Math.imul(v, lower[i] as number) >> 16;
    out[i] = (a + b + 2) >> 2;
  }
}

/**
 * Bilinear, without smoothing when made smaller: the same bits as OpenCV's INTER_LINEAR, which detectors are trained
 * with (mmdetection, detectron2's and YOLO's loaders), in its arithmetic of 11-bit weights.
 */
export function resizeBilinear(image: RgbImage, width: number, height: number): RgbImage {
  if (width === image.width && height === image.height) return image;
  const { data } = image;
  const xs = tapsOf(image.width, width, 3);
  const ys = tapsOf(image.height, height, image.width * 3);
  const length = width * 3;
  const out = new Uint8Array(length * height);
  // Rows last stretched, and where they begin in the picture: neighbours share one.
  let [upper, lower] = [new Int16Array(length), new Int16Array(length)];
  let [upperStart, lowerStart] = [-1, -1];
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [ys[4 * y] as number, ys[4 * y + 1] as number];
    if (upperStart !== top && lowerStart === top)
      [upper, lower, upperStart, lowerStart] = [lower, upper, lowerStart, upperStart];
    if (upperStart !== top) stretchRow(data, top, xs, upper);
    if (lowerStart !== bottom) {
      if (bottom === top) lower.set(upper);
      else stretchRow(data, bottom, xs, lower);
    }
    [upperStart, lowerStart] = [top, bottom];
    const [u, v] = [ys[4 * y + 2] as number, ys[4 * y + 3] as number];
    mixRows(upper, lower, u, v, out.subarray(y * length, (y + 1) * length));
  }
  return { data: out, width, height };
}

/** The largest size that keeps the ratio, with the longer side up to `long` and the shorter up to `short`. */
export function keepRatio(
  width: number,
  height: number,
  [long, short]: readonly [number, number],
): [width: number, height: number] {
  const scale = Math.min(
    Math.max(long, short) / Math.max(width, height),
    Math.min(long, short) / Math.min(width, height),
  );
  return [Math.max(1, Math.floor(width * scale + 0.5)), Math.max(1, Math.floor(height * scale + 0.5))];
}
