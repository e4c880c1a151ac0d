import type { ModelFile } from "./client.js";

const cacheName = "sepc-model";
const nameHeader = "X-Model-Name";

/** Keeps the last model in this browser, for the next visit and for use without a network. */
export async function rememberModel({ name, model }: ModelFile): Promise<void> {
  try {
    const cache = await caches.open(cacheName);
    const headers = { [nameHeader]: encodeURIComponent(name) };
    await cache.put(new Request("./last-model"), new Response(model, { headers }));
  } catch {
    // No room or no right to keep it: then the next visit begins without a model.
  }
}

export async function rememberedModel(): Promise<ModelFile | null> {
  try {
    const kept = await (await caches.open(cacheName)).match("./last-model");
    if (kept === undefined) return null;
    const name = decodeURIComponent(kept.headers.get(nameHeader) ?? "model.onnx");
    return { name, model: await kept.blob() };
  } catch {
    return null;
  }
}

export async function forgetModel(): Promise<void> {
  await caches.delete(cacheName).catch(() => false);
}
