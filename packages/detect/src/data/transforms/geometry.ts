import { keepRatio } from "@sepc/core";
import type { RandomStream } from "../random.js";
import type { ImageRecord, Sample } from "../types.js";
import type { TransformConfig } from "./config.js";
import { cropBoxes, randomWindow, type Window } from "./crop.js";

/** All that is decided about a picture before it is read. */
export interface Geometry {
  readonly sample: Sample;
  /** The part that is shown; null, the whole. */
  readonly window: Window | null;
  readonly isDistorted: boolean;
}

interface Boxes {
  /** [K, 4] */
  readonly boxes: Float32Array;
  readonly labels: readonly number[];
  readonly crowd: readonly boolean[];
}

/** Boxes clipped to the picture; of those with a side under a pixel there is nothing to learn. */
function boxesOf({ objects, width, height }: ImageRecord): Boxes {
  const boxes: number[] = [];
  const labels: number[] = [];
  const crowd: boolean[] = [];
  for (const object of objects) {
    const [x1, y1, x2, y2] = object.box;
    const [left, top] = [Math.max(x1, 0), Math.max(y1, 0)];
    const [right, bottom] = [Math.min(x2, width), Math.min(y2, height)];
    if (right - left < 1 || bottom - top < 1) continue;
    boxes.push(left, top, right, bottom);
    labels.push(object.label);
    crowd.push(object.crowd);
  }
  return { boxes: Float32Array.from(boxes), labels, crowd };
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

/** The part to show, and the boxes in it; the whole where no object would be left: it teaches more. */
function drawWindow(
  image: ImageRecord,
  whole: Boxes,
  { cropKeep }: TransformConfig,
  random: RandomStream,
): { window: Window | null; part: Boxes } {
  const window = randomWindow(image.width, image.height, random);
  const { rows, boxes } = cropBoxes(whole.boxes, window, cropKeep);
  if (rows.length === 0 && whole.labels.length > 0) return { window: null, part: whole };
  const labels = rows.map((row) => whole.labels[row] as number);
  const crowd = rows.map((row) => whole.crowd[row] as boolean);
  return { window, part: { boxes, labels, crowd } };
}

function resizeBoxes(
  boxes: Float32Array,
  scaleX: number,
  scaleY: number,
  mirrorAt: number | null,
): Float32Array {
  const out = boxes.map((value, i) => value * (i % 2 === 0 ? scaleX : scaleY));
  if (mirrorAt !== null) {
    for (let i = 0; i < out.length; i += 4)
      [out[i], out[i + 2]] = [mirrorAt - (out[i + 2] as number), mirrorAt - (out[i] as number)];
  }
  return out;
}

/** Decides everything about a picture that chance decides, and where its boxes come to lie. */
export function planSample(image: ImageRecord, config: TransformConfig, random: RandomStream): Geometry {
  const whole = boxesOf(image);
  const isDistorted = random.next() < config.photometric;
  const { window, part } =
    random.next() < config.crop ? drawWindow(image, whole, config, random) : { window: null, part: whole };
  const { width: fromWidth, height: fromHeight } = window ?? image;
  const scale = drawScale(config, random);
  const [width, height] = config.keepRatio === false ? scale : keepRatio(fromWidth, fromHeight, scale);
  const [scaleX, scaleY] = [width / fromWidth, height / fromHeight];
  const flipped = random.next() < config.flip;
  const boxes = resizeBoxes(part.boxes, scaleX, scaleY, flipped ? width : null);
  const rowsWhere = (want: boolean): number[] => part.crowd.flatMap((is, row) => (is === want ? [row] : []));
  const rowsOf = (rows: readonly number[]): Float32Array =>
    Float32Array.from(rows.flatMap((row) => [...boxes.subarray(4 * row, 4 * row + 4)]));
  const objects = rowsWhere(false);
  return {
    sample: {
      image,
      width,
      height,
      scaleX,
      scaleY,
      flipped,
      boxes: rowsOf(objects),
      labels: Int32Array.from(objects, (row) => part.labels[row] as number),
      crowdBoxes: rowsOf(rowsWhere(true)),
    },
    window,
    isDistorted,
  };
}
