import { collate } from "@sepc/core";
import type { TransformConfig } from "./transforms/config.js";
import { type PictureRequest, preparePicture } from "./transforms/pipeline.js";

/** The pictures of a batch, as plain data: any thread can read and change them. */
export interface BatchRequest {
  readonly pictures: readonly PictureRequest[];
  readonly transforms: TransformConfig;
  readonly onBroken: "skip" | "fail";
}

export interface BatchPixels {
  /** [N, 3, H, W] of the pictures that could be read */
  readonly pixels: Float32Array<ArrayBuffer>;
  readonly shape: readonly [number, number, number, number];
  /** For each picture asked for, why it could not be read; null where it could. */
  readonly failures: readonly (string | null)[];
}

/** Pictures under way at a time: one is decoded while another is resized. All at once would hold them whole in memory. */
const together = 2;

/** Applies `make` to each value, some at a time; results stand in their order. */
async function mapSome<T, R>(values: readonly T[], make: (value: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(values.length);
  const rest = values.entries();
  const takeTurns = async (): Promise<void> => {
    for (const [i, value] of rest) results[i] = await make(value);
  };
  await Promise.all(Array.from({ length: together }, takeTurns));
  return results;
}

/** Reads, transforms and collates the pictures of a batch. */
export async function makePixels({ pictures, transforms, onBroken }: BatchRequest): Promise<BatchPixels> {
  const prepared = await mapSome(pictures, (request) =>
    preparePicture(request, transforms).catch((error: Error) => {
      if (onBroken === "fail") throw error;
      return error;
    }),
  );
  const failures = prepared.map((one) => (one instanceof Error ? one.message : null));
  const images = prepared.flatMap((one) => (one instanceof Error ? [] : [one]));
  if (images.length === 0) return { pixels: new Float32Array(0), shape: [0, 3, 0, 0], failures };
  const mirrored = pictures.flatMap(({ flipped }, i) => (failures[i] === null ? [flipped] : []));
  return { ...collate(images, transforms, mirrored), failures };
}
