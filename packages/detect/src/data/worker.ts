// A thread that makes batches: { id, request } in, { id, made } or { id, error } out.
import { parentPort } from "node:worker_threads";
import sharp from "sharp";
import { type BatchRequest, makePixels } from "./batch.js";

// Threads stand side by side already; none needs a cache of pictures that it reads once.
sharp.concurrency(1);
sharp.cache(false);

parentPort?.on("message", async ({ id, request }: { id: number; request: BatchRequest }) => {
  try {
    const made = await makePixels(request);
    parentPort?.postMessage({ id, made }, [made.pixels.buffer]);
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    parentPort?.postMessage({ id, error: { message, code } });
  }
});
