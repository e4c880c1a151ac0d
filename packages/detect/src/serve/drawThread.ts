// The thread that draws answers: { id, request } in, { id, made } or { id, error } out.
import { parentPort } from "node:worker_threads";
import sharp from "sharp";
import { decodeImage } from "../data/decode.js";
import { drawDetections } from "../inference/draw.js";
import type { DrawRequest } from "./draw.js";
import { sent } from "./thread.js";

sharp.cache(false);

async function draw({ bytes, maxPixels, objects, classes, format }: DrawRequest): Promise<Uint8Array> {
  const image = await decodeImage(bytes, { maxPixels });
  return new Uint8Array(await drawDetections(image, objects, { classes, format }));
}

parentPort?.on("message", async ({ id, request }: { id: number; request: DrawRequest }) => {
  try {
    const made = await draw(request);
    parentPort?.postMessage({ id, made }, [made.buffer as ArrayBuffer]);
  } catch (error) {
    parentPort?.postMessage({ id, error: sent(error) });
  }
});
