// A thread that checks pictures: { id, request } in, { id, made } or { id, error } out.
import { parentPort } from "node:worker_threads";
import sharp from "sharp";
import { checkPicture, type PictureToCheck } from "./checkPicture.js";

sharp.concurrency(1);
sharp.cache(false);

parentPort?.on("message", async ({ id, request }: { id: number; request: PictureToCheck }) => {
  try {
    parentPort?.postMessage({ id, made: await checkPicture(request) });
  } catch (error) {
    parentPort?.postMessage({ id, error: { message: (error as Error).message } });
  }
});
