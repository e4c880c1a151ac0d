import type { Postprocess, RgbImage } from "@sepc/core";
import type { DetectedObject, LoadOptions } from "../inference/detector.js";
import { Thread } from "./thread.js";

/** What clients are told of a model. */
export interface ModelDescription {
  readonly name: string;
  /** As "retinanet"; null where the file does not say. */
  readonly detector: string | null;
  readonly classes: readonly string[];
  readonly input: {
    /** Long and short side in pixels: a picture is made as large as both allow. */
    readonly scale: readonly [number, number];
    readonly sizeDivisor: number;
    readonly mean: readonly number[];
    readonly std: readonly number[];
    readonly channels: string;
  } | null;
  readonly precision: string;
}

/** A network as the server needs it: one call at a time, and never in the server's own thread. */
export interface ServedModel {
  readonly description: ModelDescription;
  /** false while it cannot answer. */
  readonly isReady: boolean;
  /** Objects of each picture, best first; boxes in its pixels. */
  detectAll(pictures: readonly RgbImage[], options: Partial<Postprocess>): Promise<DetectedObject[][]>;
  close(): Promise<void>;
}

export interface ModelSource extends LoadOptions {
  readonly path: string;
}

export type ModelRequest =
  | { readonly describe: true }
  | { readonly pictures: readonly RgbImage[]; readonly options: Partial<Postprocess> };
export type ModelAnswer = ModelDescription | DetectedObject[][];

/** A detector in a thread of its own: neither libtorch nor onnxruntime gives the event loop back while it works. */
class ThreadedModel implements ServedModel {
  #thread: Promise<Thread<ModelRequest, ModelAnswer>>;
  #isClosed = false;
  isReady = false;
  description!: ModelDescription;

  constructor(
    readonly source: ModelSource,
    readonly onLoss: (error: Error | null) => void,
    readonly file: string,
  ) {
    this.#thread = this.#start();
  }

  async load(): Promise<this> {
    await this.#thread;
    return this;
  }

  async #start(): Promise<Thread<ModelRequest, ModelAnswer>> {
    const thread = new Thread<ModelRequest, ModelAnswer>(this.file, this.source, () => this.#restart());
    try {
      this.description = (await thread.request({ describe: true })) as ModelDescription;
    } catch (error) {
      this.#isClosed = true;
      await thread.close();
      throw error;
    }
    this.isReady = true;
    return thread;
  }

  /** A thread that ended by itself (memory, most likely) is replaced; when that fails too, the server has to end. */
  #restart(): void {
    // One that ended before it was ready would only do so again.
    if (this.#isClosed || !this.isReady) return;
    this.isReady = false;
    this.onLoss(null);
    this.#thread = this.#start();
    this.#thread.catch((error: Error) => this.onLoss(error));
  }

  async detectAll(pictures: readonly RgbImage[], options: Partial<Postprocess>): Promise<DetectedObject[][]> {
    const thread = await this.#thread;
    // The decoder's memory cannot change hands; a copy can.
    const copies = pictures.map(({ data, width, height }) => ({ data: new Uint8Array(data), width, height }));
    const transfer = copies.map(({ data }) => data.buffer);
    return (await thread.request({ pictures: copies, options }, transfer)) as DetectedObject[][];
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.isReady = false;
    await this.#thread.then(
      (thread) => thread.close(),
      () => {},
    );
  }
}

/**
 * Loads a model in a thread and tries it on an empty picture, so that the first request meets it warm.
 * @param onLoss called with null when the thread died and is started again, with an error when that failed
 * @param file of the thread, beside this one
 * @throws EngineError naming the file and what is wrong with it
 */
export async function loadModel(
  source: ModelSource,
  onLoss: (error: Error | null) => void,
  file = "modelThread",
): Promise<ServedModel> {
  const model = await new ThreadedModel(source, onLoss, file).load();
  const blank = { data: new Uint8Array(3 * 64 * 64), width: 64, height: 64 };
  await model.detectAll([blank], { scoreThreshold: 0.5 });
  return model;
}
