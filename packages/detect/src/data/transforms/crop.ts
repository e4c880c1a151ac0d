import type { RgbImage } from "../decode.js";
import type { RandomStream } from "../random.js";

/** A part of a picture, in whole pixels. */
export interface Window {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

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

/** Rows of boxes `[K, 4]` moved into a window and clipped; a box stays if its centre lies inside. */
export function cropBoxes(boxes: Float32Array, window: Window): { rows: number[]; boxes: Float32Array } {
  const rows: number[] = [];
  const kept: number[] = [];
  for (let row = 0; row < boxes.length / 4; row++) {
    const [x1, y1, x2, y2] = boxes.subarray(4 * row, 4 * row + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    const [cx, cy] = [(x1 + x2) / 2 - window.x, (y1 + y2) / 2 - window.y];
    if (cx < 0 || cy < 0 || cx >= window.width || cy >= window.height) continue;
    const inside = (value: number, limit: number): number => Math.min(Math.max(value, 0), limit);
    rows.push(row);
    kept.push(
      inside(x1 - window.x, window.width),
      inside(y1 - window.y, window.height),
      inside(x2 - window.x, window.width),
      inside(y2 - window.y, window.height),
    );
  }
  return { rows, boxes: Float32Array.from(kept) };
}
