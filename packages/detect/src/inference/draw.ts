import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type Canvas, createCanvas, GlobalFonts, ImageData } from "@napi-rs/canvas";
import { type Detection, fromRgba, type RgbImage } from "@sepc/core";
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

/** A canvas that shows a picture with boxes, names and scores. */
function drawn(
  { width, height, data }: RgbImage,
  objects: readonly Detection[],
  { classes, truth = [] }: DrawDetectionsOptions,
): Canvas {
  useFont();
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
  return canvas;
}

/** A picture with boxes, names and scores drawn on it, encoded. */
export async function drawDetections(
  image: RgbImage,
  objects: readonly Detection[],
  options: DrawDetectionsOptions,
): Promise<Buffer> {
  const canvas = drawn(image, objects, options);
  return options.format === "png" ? canvas.encode("png") : canvas.encode("jpeg", 90);
}

/** The same as pixels. */
export function drawOnPixels(
  image: RgbImage,
  objects: readonly Detection[],
  options: DrawDetectionsOptions,
): RgbImage {
  const { width, height } = image;
  const { data } = drawn(image, objects, options).getContext("2d").getImageData(0, 0, width, height);
  return fromRgba({ data, width, height });
}
