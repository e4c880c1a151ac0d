import type { Detection } from "@sepc/core";
import { drawObjects } from "@sepc/core/draw";
import type { DetectedObject } from "@sepc/core/runtime";
import { save } from "./dom.js";

export interface SavedPicture {
  readonly file: string;
  readonly width: number;
  readonly height: number;
  readonly objects: readonly DetectedObject[];
}

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

/** Results as JSON: boxes are [x1, y1, x2, y2] in pixels of the picture. */
export function resultsJson(pictures: readonly SavedPicture[]): string {
  const plain = pictures.map(({ objects, ...picture }) => ({
    ...picture,
    objects: objects.map(({ name, label, score, box }) => ({
      name,
      label,
      score: rounded(score, 4),
      box: box.map((side) => rounded(side, 2)),
    })),
  }));
  return `${JSON.stringify(plain, null, 2)}\n`;
}

export function saveResults(pictures: readonly SavedPicture[], name: string): void {
  save(new Blob([resultsJson(pictures)], { type: "application/json" }), name);
}

/** The picture in its own size with its boxes, as PNG. */
export async function savePicture(
  picture: ImageBitmap,
  objects: readonly Detection[],
  classes: readonly string[],
  name: string,
): Promise<void> {
  const { width, height } = picture;
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d");
  if (pen === null) throw new Error("this browser cannot draw the picture");
  pen.drawImage(picture, 0, 0);
  drawObjects(pen, objects, { classes, width, height });
  save(await canvas.convertToBlob({ type: "image/png" }), name);
}
