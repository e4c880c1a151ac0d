import type { RgbImage } from "../decode.js";

/** Two neighbours of each place along one side and the weight of the second. Centres of pixels lie at halves. */
function neighbours(from: number, to: number): { low: Int32Array; high: Int32Array; weight: Float32Array } {
  const low = new Int32Array(to);
  const high = new Int32Array(to);
  const weight = new Float32Array(to);
  const step = from / to;
  for (let i = 0; i < to; i++) {
    const at = Math.min(Math.max((i + 0.5) * step - 0.5, 0), from - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min((low[i] as number) + 1, from - 1);
    weight[i] = at - (low[i] as number);
  }
  return { low, high, weight };
}

/** Bilinear, without smoothing when made smaller: as OpenCV's INTER_LINEAR, which detectors are trained with. */
export function resizeBilinear(image: RgbImage, width: number, height: number): RgbImage {
  if (width === image.width && height === image.height) return image;
  const { data } = image;
  const xs = neighbours(image.width, width);
  const ys = neighbours(image.height, height);
  const out = new Uint8Array(width * height * 3);
  const stride = image.width * 3;
  const left = xs.low.map((x) => 3 * x);
  const right = xs.high.map((x) => 3 * x);
  let at = 0;
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [(ys.low[y] as number) * stride, (ys.high[y] as number) * stride];
    const v = ys.weight[y] as number;
    for (let x = 0; x < width; x++) {
      const [l, r, u] = [left[x] as number, right[x] as number, xs.weight[x] as number];
      for (let c = 0; c < 3; c++) {
        const a = data[top + l + c] as number;
        const b = data[bottom + l + c] as number;
        const upper = a + u * ((data[top + r + c] as number) - a);
        const lower = b + u * ((data[bottom + r + c] as number) - b);
        out[at++] = upper + v * (lower - upper) + 0.5;
      }
    }
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
