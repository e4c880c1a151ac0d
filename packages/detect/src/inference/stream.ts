import type { Postprocess, RgbImage } from "@sepc/core";
import { decodeImage } from "../data/decode.js";
import { EngineError } from "../data/errors.js";
import type { DetectedObject, Detector, ImageSource } from "./detector.js";

export interface StreamOptions {
  /** Pictures that go through the network together; 1 unless told. */
  readonly batch?: number | undefined;
  readonly postprocess?: Partial<Postprocess> | undefined;
}

/** One picture of a stream: what was found, or why it could not be read. */
export type StreamResult<Id> =
  | { readonly id: Id; readonly picture: RgbImage; readonly objects: readonly DetectedObject[] }
  | { readonly id: Id; readonly error: EngineError };

/** A picture and the caller's name for it. */
export interface StreamItem<Id> {
  readonly id: Id;
  /** Read when its turn comes. */
  readonly source: ImageSource | (() => Promise<ImageSource>);
}

type Decoded<Id> =
  | { readonly id: Id; readonly picture: RgbImage }
  | { readonly id: Id; readonly error: EngineError };

async function decoded<Id>({ id, source }: StreamItem<Id>): Promise<Decoded<Id>> {
  try {
    const found = typeof source === "function" ? await source() : source;
    const encoded = typeof found === "string" || found instanceof Uint8Array;
    return { id, picture: encoded ? await decodeImage(found) : found };
  } catch (error) {
    if (error instanceof EngineError && error.code === "FILE") return { id, error };
    throw error;
  }
}

/**
 * Finds objects in any number of pictures, in their order: the next batch is decoded while the network has the last. Two
 * batches are in memory at a time, however long the stream.
 */
export async function* detectStream<Id>(
  detector: Detector,
  items: Iterable<StreamItem<Id>> | AsyncIterable<StreamItem<Id>>,
  { batch = 1, postprocess }: StreamOptions = {},
): AsyncGenerator<StreamResult<Id>> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const next = async (): Promise<Decoded<Id>[]> => {
    const reading: Promise<Decoded<Id>>[] = [];
    while (reading.length < batch) {
      const { done, value } = await iterator.next();
      if (done) break;
      reading.push(decoded(value));
    }
    return Promise.all(reading);
  };
  let ahead = next();
  try {
    for (;;) {
      const now = await ahead;
      if (now.length === 0) return;
      ahead = next();
      // An error of the reading waits for its turn.
      ahead.catch(() => undefined);
      const pictures = now.flatMap((one) => ("picture" in one ? [one.picture] : []));
      const found = await detector.detectAll(pictures, postprocess);
      let at = 0;
      for (const one of now)
        yield "picture" in one ? { ...one, objects: found[at++] as readonly DetectedObject[] } : one;
    }
  } finally {
    await iterator.return?.();
  }
}
