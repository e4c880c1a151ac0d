import type { RgbImage } from "@sepc/core";
import type { RandomStream } from "../random.js";

/** A part of a picture, in whole pixels. */
export interface Window {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

type Box = readonly [x1: number, y1: number, x2: number, y2: number];

/** A random part with sides of 0.5 to 1 of the picture's. */
export function randomWindow(width: number, height: number, random: RandomStream): Window {
  const [w, h] = [Math.ceil(width * random.between(0.5, 1)), Math.ceil(height * random.between(0.5, 1))];
  return { x: random.whole(0, width - w), y: random.whole(0, height - h), width: w, height: h };
}

export function crop(image: RgbImage, { x, y, width, height }: Window): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let row = 0; row < height; row++) {
    const start = ((y + row) * image.width + x) * 3;
    data.set(image.data.subarray(start, start + width * 3), row * width * 3);
  }
  return { data, width, height };
}

/** A box moved into a window and clipped to it. */
function inWindow([x1, y1, x2, y2]: Box, { x, y, width, height }: Window): Box {
  const inside = (value: number, limit: number): number => Math.min(Math.max(value, 0), limit);
  return [inside(x1 - x, width), inside(y1 - y, height), inside(x2 - x, width), inside(y2 - y, height)];
}

const areaOf = ([x1, y1, x2, y2]: Box): number => Math.max(0, x2 - x1) * Math.max(0, y2 - y1);

function isKept(box: Box, part: Box, window: Window, keep: "centre" | number): boolean {
  if (areaOf(part) <= 0) return false;
  // The part lies in the box: their overlap is the share of areas.
  if (keep !== "centre") return areaOf(part) >= keep * areaOf(box);
  const [cx, cy] = [(box[0] + box[2]) / 2 - window.x, (box[1] + box[3]) / 2 - window.y];
  return cx >= 0 && cy >= 0 && cx < window.width && cy < window.height;
}

/**
 * Rows of boxes `[K, 4]` moved into a window and clipped. A box stays if its centre lies inside, or, where `keep` is a
 * number, if its part inside has at least that IoU with the whole box.
 */
export function cropBoxes(
  boxes: Float32Array,
  window: Window,
  keep: "centre" | number = "centre",
): { rows: number[]; boxes: Float32Array } {
  const rows: number[] = [];
  const kept: number[] = [];
  for (let row = 0; row < boxes.length / 4; row++) {
    const box = [...boxes.subarray(4 * row, 4 * row + 4)] as unknown as Box;
    const part = inWindow(box, window);
    if (!isKept(box, part, window, keep)) continue;
    rows.push(row);
    kept.push(...part);
  }
  return { rows, boxes: Float32Array.from(kept) };
}
