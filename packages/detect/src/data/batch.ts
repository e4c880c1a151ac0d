import { collate, type Prepared, prepare, type TransformConfig } from "./transforms/pipeline.js";
import type { Batch, ImageRecord } from "./types.js";

/** All that a batch depends on: plain data, so that any thread can make it. */
export interface BatchRequest {
  readonly images: readonly ImageRecord[];
  /** Of each picture: what its random choices depend on. */
  readonly keys: readonly (readonly number[])[];
  readonly transforms: TransformConfig;
  readonly onBroken: "skip" | "fail";
}

/** Reads, transforms and collates the pictures of a batch. */
export async function makeBatch({ images, keys, transforms, onBroken }: BatchRequest): Promise<Batch> {
  const prepared: Prepared[] = [];
  const skipped: { file: string; reason: string }[] = [];
  for (const [i, image] of images.entries()) {
    try {
      prepared.push(await prepare(image, transforms, keys[i] ?? [i]));
    } catch (error) {
      if (onBroken === "fail") throw error;
      skipped.push({ file: image.file, reason: (error as Error).message });
    }
  }
  if (prepared.length === 0)
    return { pixels: new Float32Array(0), shape: [0, 3, 0, 0], samples: [], skipped };
  return {
    ...collate(
      prepared.map(({ picture }) => picture),
      transforms,
    ),
    samples: prepared.map(({ sample }) => sample),
    skipped,
  };
}
