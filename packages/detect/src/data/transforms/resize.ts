import type { RgbImage } from "../decode.js";

/** Weights are whole numbers in 2^11 parts, as OpenCV's. */
const one = 2048;

/** For each new place along a side: the two old ones that it lies between, and the weights of both. */
interface Taps {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly lowWeight: Int16Array;
  readonly highWeight: Int16Array;
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Centres of pixels lie at halves; beyond the outermost centres the border's pixel is repeated. */
function taps(from: number, to: number): Taps {
  const [low, high] = [new Int32Array(to), new Int32Array(to)];
  const [lowWeight, highWeight] = [new Int16Array(to), new Int16Array(to)];
  const step = 1 / (to / from);
  for (let i = 0; i < to; i++) {
    const at = Math.fround((i + 0.5) * step - 0.5);
    const floor = Math.floor(at);
    const share = Math.fround(at - floor);
    low[i] = Math.min(Math.max(floor, 0), from - 1);
    high[i] = Math.min(Math.max(floor + 1, 0), from - 1);
    lowWeight[i] = roundHalfToEven(Math.fround(1 - share) * one);
    highWeight[i] = roundHalfToEven(share * one);
  }
  return { low, high, lowWeight, highWeight };
}

/** One row of `data` in its new width, values times 2^7: they fit 16 bits, which keeps the arithmetic in integers. */
function stretchRow(
  data: Uint8Array,
  start: number,
  { low, high, lowWeight, highWeight }: Taps,
  row: Int16Array,
): void {
  for (let x = 0, at = 0; x < low.length; x++, at += 3) {
    const l = start + 3 * (low[x] as number);
    const r = start + 3 * (high[x] as number);
    const u = lowWeight[x] as number;
    const v = highWeight[x] as number;
    row[at] = (u * (data[l] as number) + v * (data[r] as number)) >> 4;
    row[at + 1] = (u * (data[l + 1] as number) + v * (data[r + 1] as number)) >> 4;
    row[at + 2] = (u * (data[l + 2] as number) + v * (data[r + 2] as number)) >> 4;
  }
}

/** Two stretched rows mixed into one of the picture, from `start` on. */
function mixRows(
  upper: Int16Array,
  lower: Int16Array,
  weights: readonly [number, number],
  out: Uint8Array,
  start: number,
): void {
  // A typed array tells the compiler that weights are small: products stay integers.
  const small = Int16Array.from(weights);
  const u = small[0] as number;
  const v = small[1] as number;
  for (let i = 0; i < upper.length; i++) {
    const a = (u * (upper[i] as number)) >> 16;
    const b = (v * (lower[i] as number)) >> 16;
    out[start + i] = (a + b + 2) >> 2;
  }
}

/**
 * Bilinear, without smoothing when made smaller: the same bits as OpenCV's INTER_LINEAR, which detectors are trained
 * with (mmdetection, detectron2's and YOLO's loaders), in its arithmetic of 11-bit weights.
 */
export function resizeBilinear(image: RgbImage, width: number, height: number): RgbImage {
  if (width === image.width && height === image.height) return image;
  const { data } = image;
  const xs = taps(image.width, width);
  const ys = taps(image.height, height);
  const out = new Uint8Array(width * height * 3);
  const stride = image.width * 3;
  const length = width * 3;
  let [upper, lower] = [new Int16Array(length), new Int16Array(length)];
  let [upperRow, lowerRow] = [-1, -1];
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [ys.low[y] as number, ys.high[y] as number];
    if (upperRow !== top && lowerRow === top)
      [upper, lower, upperRow, lowerRow] = [lower, upper, lowerRow, upperRow];
    if (upperRow !== top) stretchRow(data, top * stride, xs, upper);
    if (lowerRow !== bottom) {
      if (bottom === top) lower.set(upper);
      else stretchRow(data, bottom * stride, xs, lower);
    }
    [upperRow, lowerRow] = [top, bottom];
    mixRows(upper, lower, [ys.lowWeight[y] as number, ys.highWeight[y] as number], out, y * length);
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
