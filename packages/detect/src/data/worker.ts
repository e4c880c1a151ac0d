// A thread that makes batches: { id, request } in, { id, batch } or { id, error } out.
import { parentPort } from "node:worker_threads";
import { type BatchRequest, makeBatch } from "./batch.js";

parentPort?.on("message", async ({ id, request }: { id: number; request: BatchRequest }) => {
  try {
    const batch = await makeBatch(request);
    parentPort?.postMessage({ id, batch }, [batch.pixels.buffer as ArrayBuffer]);
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    parentPort?.postMessage({ id, error: { message, code } });
  }
});
