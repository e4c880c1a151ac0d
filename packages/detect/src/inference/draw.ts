import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createCanvas, GlobalFonts, ImageData } from "@napi-rs/canvas";
import type { Detection, RgbImage } from "@sepc/core";
import { drawObjects } from "@sepc/core/draw";

const family = "sepc-sans";

/** A font of our own: servers often have none. */
function useFont(): void {
  if (GlobalFonts.has(family)) return;
  const root = dirname(createRequire(import.meta.url).resolve("dejavu-fonts-ttf/package.json"));
  GlobalFonts.registerFromPath(join(root, "ttf", "DejaVuSans.ttf"), family);
}

export interface DrawDetectionsOptions {
  readonly classes: readonly string[];
  /** Drawn dashed, without scores. */
  readonly truth?: readonly Pick<Detection, "box" | "label">[] | undefined;
  readonly format?: "jpeg" | "png" | undefined;
}

/** A picture with boxes, names and scores drawn on it, encoded. */
export async function drawDetections(
  image: RgbImage,
  objects: readonly Detection[],
  { classes, truth = [], format = "jpeg" }: DrawDetectionsOptions,
): Promise<Buffer> {
  useFont();
  const { width, height, data } = image;
  const canvas = createCanvas(width, height);
  const pen = canvas.getContext("2d");
  const rgba = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = data[3 * i + c] as number;
    rgba[4 * i + 3] = 255;
  }
  pen.putImageData(new ImageData(rgba, width, height), 0, 0);
  const options = { classes, width, height, fontFamily: family };
  drawObjects(pen, truth, { ...options, dashed: true, labels: false });
  drawObjects(pen, objects, options);
  return format === "png" ? canvas.encode("png") : canvas.encode("jpeg", 90);
}
