import { existsSync } from "node:fs";
import { type BatchPixels, type BatchRequest, makePixels } from "./batch.js";
import { check, EngineError } from "./errors.js";
import { planEpoch } from "./plan.js";
import { RandomStream } from "./random.js";
import { checkTransforms, type TransformConfig } from "./transforms/config.js";
import { type Geometry, planSample } from "./transforms/geometry.js";
import type { PictureRequest } from "./transforms/pipeline.js";
import type { Batch, DetectionDataset, ImageRecord } from "./types.js";
import { WorkerPool } from "./workerPool.js";

export interface LoaderOptions {
  readonly batchSize: number;
  readonly transforms: TransformConfig;
  readonly shuffle?: boolean | undefined;
  readonly seed?: number | undefined;
  /** Threads that read and transform; 0: this one does, between batches. */
  readonly workers?: number | undefined;
  /** Batches made ahead by each worker; 2 unless told. */
  readonly prefetch?: number | undefined;
  readonly groupByAspect?: boolean | undefined;
  /** Leaves out pictures without objects. */
  readonly filterEmpty?: boolean | undefined;
  /** Whether pictures that cannot be read are named in `Batch.skipped` (unless told otherwise), or end the epoch. */
  readonly onBroken?: "skip" | "fail" | undefined;
}

interface Planned {
  readonly geometries: readonly Geometry[];
  readonly request: BatchRequest;
}

function checkOptions({ batchSize, workers = 0, prefetch = 2, seed = 0, transforms }: LoaderOptions): void {
  const whole = (name: string, value: number, least: number): void =>
    check(
      Number.isInteger(value) && value >= least,
      () => `DataLoader: ${name}: expected a whole number from ${least}, got ${value}`,
    );
  whole("batchSize", batchSize, 1);
  whole("workers", workers, 0);
  whole("prefetch", prefetch, 1);
  check(Number.isSafeInteger(seed), () => `DataLoader: seed: expected a whole number, got ${seed}`);
  checkTransforms(transforms);
}

/** One missing picture may be skipped; where a few from all over are missing, the folder is wrong. */
function checkPresence(name: string, images: readonly ImageRecord[]): void {
  const step = Math.max(1, Math.floor(images.length / 16));
  if (images.some(({ file }, i) => i % step === 0 && existsSync(file))) return;
  throw new EngineError(
    "FILE",
    `data set ${name}: none of its pictures is there: expected ${images[0]?.file} and so on. ` +
      "Where they lie elsewhere, open the data set with the option images",
  );
}

function pictureRequest({ sample, window, isDistorted }: Geometry, keys: readonly number[]): PictureRequest {
  const { image, width, height, flipped } = sample;
  return {
    file: image.file,
    fromWidth: image.width,
    fromHeight: image.height,
    window,
    width,
    height,
    flipped,
    distortKeys: isDistorted ? [...keys, 3] : null,
  };
}

function batchOf({ geometries }: Planned, { pixels, shape, failures }: BatchPixels): Batch {
  const samples = geometries.flatMap(({ sample }, i) => (failures[i] === null ? [sample] : []));
  const skipped = geometries.flatMap(({ sample }, i) => {
    const reason = failures[i];
    return typeof reason === "string" ? [{ file: sample.image.file, reason }] : [];
  });
  return { pixels, shape, samples, skipped };
}

/** Batches of a data set, epoch by epoch. The same bits for a seed and an epoch, whatever the number of workers. */
export class DataLoader {
  readonly dataset: DetectionDataset;
  readonly #options: LoaderOptions;
  readonly #pool: WorkerPool<BatchRequest, BatchPixels> | null;
  #isClosed = false;
  #length: number | undefined;

  /** @throws EngineError BAD_ARGUMENT when there are no pictures, or an option is impossible */
  constructor(dataset: DetectionDataset, options: LoaderOptions) {
    checkOptions(options);
    const { filterEmpty = false, workers = 0 } = options;
    const images = filterEmpty
      ? dataset.images.filter(({ objects }) => objects.some(({ crowd }) => !crowd))
      : dataset.images;
    if (images.length === 0)
      throw new EngineError(
        "BAD_ARGUMENT",
        `data set ${dataset.name}: expected pictures${filterEmpty ? " with objects" : ""}, got none`,
      );
    checkPresence(dataset.name, images);
    this.dataset = { ...dataset, images };
    this.#options = options;
    this.#pool = workers > 0 ? new WorkerPool("worker", workers) : null;
  }

  /** Batches of an epoch; the same in each. */
  get length(): number {
    this.#length ??= this.#plan(0).length;
    return this.#length;
  }

  #plan(epoch: number): number[][] {
    const { batchSize, shuffle = false, seed = 0, groupByAspect = false } = this.#options;
    return planEpoch(this.dataset, { batchSize, shuffle, seed, groupByAspect }, epoch);
  }

  #planBatch(places: readonly number[], epoch: number): Planned {
    const { transforms, onBroken = "skip", seed = 0 } = this.#options;
    const keys = places.map((place) => [seed, epoch, place, 2]);
    const geometries = places.map((place, i) =>
      planSample(this.dataset.images[place] as ImageRecord, transforms, new RandomStream(...(keys[i] ?? []))),
    );
    const pictures = geometries.map((geometry, i) => pictureRequest(geometry, keys[i] ?? []));
    return { geometries, request: { pictures, transforms, onBroken } };
  }

  async #make(places: readonly number[], epoch: number): Promise<Batch> {
    const planned = this.#planBatch(places, epoch);
    const { request } = planned;
    return batchOf(planned, await (this.#pool === null ? makePixels(request) : this.#pool.request(request)));
  }

  /**
   * @param start batch to begin at, to go on in the middle of an epoch
   * @throws EngineError FILE when a thread dies, or with `onBroken: "fail"` at a picture that cannot be read
   */
  async *epoch(epoch: number, start = 0): AsyncGenerator<Batch, void, void> {
    const { prefetch = 2, workers = 0 } = this.#options;
    const plan = this.#plan(epoch);
    const most = workers === 0 ? 1 : prefetch * workers;
    const ahead: Promise<Batch>[] = [];
    let next = start;
    const order = (): void => {
      while (next < plan.length && ahead.length < most) {
        const batch = this.#make(plan[next++] as number[], epoch);
        batch.catch(() => {}); // told when its turn comes
        ahead.push(batch);
      }
    };
    check(!this.#isClosed, () => "DataLoader: it is closed; make a new one");
    for (order(); ahead.length > 0; order()) {
      const batch = ahead.shift() as Promise<Batch>;
      if (workers > 0) order();
      yield await batch;
    }
  }

  /** Ends the threads; an epoch that is under way fails. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pool?.close();
  }
}
