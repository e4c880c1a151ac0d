import { fromTypedArray, ops, type Tensor } from "@sepc/engine";

/**
 * How a set of points becomes a box (section 3.2): around all of them, around the first four, or their mean with their
 * deviation times a learned factor.
 */
export type BoxFrom = "minmax" | "partialMinmax" | "moment";

/** The same values, with `factor` times the gradient. */
export function scaleGradient(x: Tensor, factor: number): Tensor {
  if (!x.requiresGrad || factor === 1) return x;
  return x
    .detach()
    .mul(1 - factor)
    .add(x.mul(factor));
}

/** Where a kernel's taps stand without offsets, in cells, (y, x) for each: [1, 2·k·k, 1, 1]. */
export function regularGrid(kernelSize: number): Tensor {
  const half = kernelSize >> 1;
  const taps = Array.from({ length: kernelSize ** 2 }, (_, i) => [
    Math.floor(i / kernelSize) - half,
    (i % kernelSize) - half,
  ]);
  return fromTypedArray(Float32Array.from(taps.flat()), [1, 2 * taps.length, 1, 1]);
}

/** The box from one end of the points to the other, along one axis: [N, P, ...] -> [N, 1, ...] twice. */
const ends = (points: Tensor): [low: Tensor, high: Tensor] => [
  points.amin(1, { keepdim: true }),
  points.amax(1, { keepdim: true }),
];

/** Mean and unbiased deviation times a factor, written as sums and products, which every runtime knows. */
function moments(points: Tensor, factor: Tensor): [low: Tensor, high: Tensor] {
  const count = points.shape[1] as number;
  const mean = points.mean(1, { keepdim: true });
  const away = points.sub(mean);
  const variance = away
    .mul(away)
    .sum(1, { keepdim: true })
    .div(count - 1);
  // The root's gradient is infinite where all points are one; there, as in PyTorch's deviation, it is taken as 0.
  const half = variance.clamp({ min: 1e-12 }).sqrt().mul(factor);
  return [mean.sub(half), mean.add(half)];
}

/**
 * Points, (y, x) for each, -> boxes: [N, 2·P] -> [N, 4], or maps [N, 2·P, H, W] -> [N, 4, H, W].
 * @param factors of half the width and half the height, [2]: "moment" only
 */
export function pointsToBoxes(points: Tensor, boxFrom: BoxFrom, factors: Tensor | null = null): Tensor {
  const [batch, coordinates, ...rest] = points.shape as [number, number, ...number[]];
  const pairs = points.reshape([batch, coordinates / 2, 2, ...rest]);
  const used = boxFrom === "partialMinmax" ? pairs.narrow(1, 0, 4) : pairs;
  const [y, x] = [used.select(2, 0), used.select(2, 1)];
  // No scope of its own: what is made of weights alone must live until a recording is written.
  const [[left, right], [top, bottom]] =
    factors === null || boxFrom !== "moment"
      ? [ends(x), ends(y)]
      : [moments(x, factors.select(0, 0)), moments(y, factors.select(0, 1))];
  return ops.cat([left, top, right, bottom], 1);
}
