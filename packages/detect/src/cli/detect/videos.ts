import { basename, join } from "node:path";
import { EngineError } from "../../data/errors.js";
import type { DetectedObject, Detector } from "../../inference/detector.js";
import { drawOnPixels } from "../../inference/draw.js";
import { detectStream } from "../../inference/stream.js";
import {
  probeVideo,
  readFrames,
  type VideoInfo,
  type VideoWriter,
  writeVideo,
} from "../../inference/video.js";
import { Progress } from "../progress.js";
import { freeName, type PictureOptions } from "./pictures.js";
import type { Told } from "./told.js";

/** One line of JSON a frame. */
function frameLine(
  file: string,
  frame: number,
  { rate }: VideoInfo,
  objects: readonly DetectedObject[],
): string {
  const found = objects.map(({ box: [x1, y1, x2, y2], label, name, score }) => ({
    category_id: label + 1,
    category: name,
    bbox: [x1, y1, x2 - x1, y2 - y1],
    score,
  }));
  return `${JSON.stringify({ file_name: file, frame, seconds: frame / rate, objects: found })}\n`;
}

async function* frames(file: string, info: VideoInfo) {
  let id = 0;
  for await (const source of readFrames(file, info)) yield { id: id++, source };
}

async function detectVideo(
  detector: Detector,
  file: string,
  { score, batch, json, out, taken }: PictureOptions,
): Promise<Told> {
  const info = await probeVideo(file);
  const bar = new Progress({ total: info.frames ?? 0, unit: "frames", label: basename(file) });
  const writer: VideoWriter | null =
    out === undefined ? null : writeVideo(join(out, freeName(file, ".mp4", taken)), info);
  const told = { objects: 0, pictures: 0, broken: 0 };
  const options = { batch, postprocess: { scoreThreshold: score } };
  for await (const one of detectStream(detector, frames(file, info), options)) {
    if ("error" in one) throw one.error;
    const { id, picture, objects } = one;
    told.pictures++;
    told.objects += objects.length;
    if (json) process.stdout.write(frameLine(file, id, info, objects));
    await writer?.write(drawOnPixels(picture, objects, { classes: detector.classes }).data);
    bar.advance(1);
  }
  bar.finish();
  await writer?.close();
  return told;
}

/** Detects in videos, frame by frame; one that cannot be read is told and passed over. */
export async function detectVideos(
  detector: Detector,
  files: readonly string[],
  options: PictureOptions,
): Promise<Told> {
  const told = { objects: 0, pictures: 0, broken: 0 };
  for (const file of files) {
    try {
      const { objects, pictures } = await detectVideo(detector, file, options);
      told.objects += objects;
      told.pictures += pictures;
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== "FILE") throw error;
      told.broken++;
      process.stderr.write(`${error.message}\n`);
    }
  }
  return told;
}
