import {
  type Candidates,
  clipMargin,
  type Detection,
  decode,
  type Frame,
  type Postprocess,
} from "../decode.js";
import { collate } from "../image/collate.js";
import { keepRatio, resizeBilinear } from "../image/resize.js";
import type { RgbImage } from "../image/rgb.js";
import { levelSizes } from "../priors.js";
import { ModelError, type ModelSpec } from "../spec.js";
import type { TensorData } from "./session.js";

/** Pictures made ready for a network, and how each lies in its input. */
export interface PreparedBatch {
  readonly images: TensorData;
  readonly frames: readonly Frame[];
}

/** A picture in the size that the network wants. */
export interface PreparedPicture {
  readonly image: RgbImage;
  readonly frame: Frame;
}

/** How a picture of these sides comes to lie in the network's input. */
export function frameOf(
  { input }: Pick<ModelSpec, "input">,
  { width, height }: Pick<RgbImage, "width" | "height">,
): Frame {
  const [inputWidth, inputHeight] = keepRatio(width, height, input.scale);
  return { inputWidth, inputHeight, scaleX: inputWidth / width, scaleY: inputHeight / height };
}

/** Resizes one picture. */
export function preparePicture(spec: Pick<ModelSpec, "input">, picture: RgbImage): PreparedPicture {
  const frame = frameOf(spec, picture);
  return { image: resizeBilinear(picture, frame.inputWidth, frame.inputHeight), frame };
}

/** Pictures of any size -> one input: normalised, and padded to the largest. */
export function prepareBatch(
  { input }: Pick<ModelSpec, "input">,
  pictures: readonly PreparedPicture[],
): PreparedBatch {
  const { pixels, shape } = collate(
    pictures.map(({ image }) => image),
    input,
  );
  const images: TensorData = { type: "float32", data: pixels, dims: shape };
  return { images, frames: pictures.map(({ frame }) => frame) };
}

type Outputs = Readonly<Record<string, TensorData>>;

function outputOf(outputs: Outputs, name: string): TensorData {
  const found = outputs[name];
  if (found === undefined)
    throw new ModelError(
      `the network gave no output "${name}", only ${Object.keys(outputs).join(", ")}; export it again with sepc export`,
    );
  return found;
}

/** One image's part of an output [N, ...]. */
function part({ data, dims }: TensorData, n: number): Float32Array {
  const size = data.length / (dims[0] as number);
  return data.subarray(n * size, (n + 1) * size) as Float32Array;
}

function candidatesOf(outputs: Outputs, n: number): Candidates {
  const scores = outputOf(outputs, "scores");
  const { factors } = outputs;
  return {
    scores: part(scores, n),
    boxes: part(outputOf(outputs, "boxes"), n),
    priors: Int32Array.from(part(outputOf(outputs, "priors"), n) as ArrayLike<number | bigint>, Number),
    factors: factors === undefined ? undefined : part(factors, n),
    classes: scores.dims[2] as number,
  };
}

/** Detections of a graph that suppresses by itself, brought back to the pictures. */
function suppressed(
  spec: Pick<ModelSpec, "decode">,
  outputs: Outputs,
  frames: readonly Frame[],
  { scoreThreshold = 0, maxPerImage = Number.POSITIVE_INFINITY }: Partial<Postprocess>,
): Detection[][] {
  const [batch, boxes, scores, labels] = ["batch", "boxes", "scores", "labels"].map(
    (name) => outputOf(outputs, name).data,
  ) as [ArrayLike<bigint>, Float32Array, Float32Array, ArrayLike<bigint>];
  const extra = clipMargin(spec.decode);
  const found: Detection[][] = frames.map(() => []);
  for (let i = 0; i < scores.length; i++) {
    const image = Number(batch[i]);
    const { scaleX, scaleY, inputWidth, inputHeight } = frames[image] as Frame;
    const own = found[image] as Detection[];
    const score = scores[i] as number;
    if (score <= scoreThreshold || own.length >= maxPerImage) continue;
    const along = (at: number, size: number, scale: number): number =>
      Math.min(boxes[4 * i + at] as number, size - extra) / scale;
    const [x, y] = [
      (at: number) => along(at, inputWidth, scaleX),
      (at: number) => along(at, inputHeight, scaleY),
    ] as const;
    own.push({ box: [x(0), y(1), x(2), y(3)], label: Number(labels[i]), score });
  }
  return found;
}

/**
 * The network's outputs for a batch -> the objects of each picture, best first, in its pixels.
 * @throws ModelError when an output that the description promises is missing
 */
export function finishBatch(
  spec: Pick<ModelSpec, "decode" | "output">,
  { images, frames }: PreparedBatch,
  outputs: Outputs,
  options: Partial<Postprocess> = {},
): Detection[][] {
  if (spec.output === "detections") return suppressed(spec, outputs, frames, options);
  const [height, width] = images.dims.slice(2) as [number, number];
  const sizes = levelSizes(spec.decode.priors.strides, [height, width], spec.decode.cut);
  return frames.map((frame, n) => decode(spec.decode, sizes, candidatesOf(outputs, n), frame, options));
}
