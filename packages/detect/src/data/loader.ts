import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { EngineError, type EngineErrorCode } from "@sepc/engine";
import { type BatchRequest, makeBatch } from "./batch.js";
import { planEpoch } from "./plan.js";
import type { TransformConfig } from "./transforms/pipeline.js";
import type { Batch, DetectionDataset, ImageRecord } from "./types.js";

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
  readonly onBroken?: "skip" | "fail" | undefined;
}

interface Waiting {
  readonly resolve: (batch: Batch) => void;
  readonly reject: (error: Error) => void;
}

/** The compiled worker; TypeScript runners import this file from src. */
function workerFile(): string {
  const beside = fileURLToPath(new URL("./worker.js", import.meta.url));
  return existsSync(beside) ? beside : beside.replace(/([\\/])src([\\/]data)/, "$1dist$2");
}

/** Threads that answer requests for batches, each in turn. */
class WorkerPool {
  readonly #workers: Worker[];
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #failure: Error | null = null;

  constructor(count: number) {
    this.#workers = Array.from({ length: count }, () => new Worker(workerFile()));
    for (const worker of this.#workers) {
      worker.unref();
      worker.on("message", (answer: Answer) => this.#settle(answer));
      worker.on("error", (error) => this.#fail(error));
      worker.on("exit", (code) => this.#fail(new Error(`it ended with code ${code}`)));
    }
  }

  #settle({ id, batch, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (batch !== undefined) waiting?.resolve(batch);
    else
      waiting?.reject(
        new EngineError((error?.code ?? "FILE") as EngineErrorCode, error?.message ?? "unknown"),
      );
  }

  #fail(cause: Error): void {
    this.#failure ??= new EngineError("FILE", `a thread of the data loader died: ${cause.message}`, {
      cause,
    });
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }

  request(request: BatchRequest): Promise<Batch> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = this.#next++;
    const worker = this.#workers[id % this.#workers.length] as Worker;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, request });
    });
  }

  async close(): Promise<void> {
    this.#failure ??= new EngineError("BAD_ARGUMENT", "the data loader is closed");
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

interface Answer {
  readonly id: number;
  readonly batch?: Batch;
  readonly error?: { readonly message: string; readonly code?: string };
}

/** Batches of a data set, epoch by epoch. The same bits for a seed and an epoch, whatever the number of workers. */
export class DataLoader {
  readonly dataset: DetectionDataset;
  readonly #options: LoaderOptions;
  #pool: WorkerPool | null = null;

  constructor(dataset: DetectionDataset, options: LoaderOptions) {
    const { filterEmpty = false, workers = 0 } = options;
    const images = filterEmpty
      ? dataset.images.filter(({ objects }) => objects.some(({ crowd }) => !crowd))
      : dataset.images;
    if (images.length === 0)
      throw new EngineError(
        "BAD_ARGUMENT",
        `data set ${dataset.name}: expected pictures${filterEmpty ? " with objects" : ""}, got none`,
      );
    this.dataset = { ...dataset, images };
    this.#options = options;
    if (workers > 0) this.#pool = new WorkerPool(workers);
  }

  /** Batches of an epoch. */
  get length(): number {
    return this.#plan(0).length;
  }

  #plan(epoch: number): number[][] {
    const { batchSize, shuffle = false, seed = 0, groupByAspect = false } = this.#options;
    return planEpoch(this.dataset, { batchSize, shuffle, seed, groupByAspect }, epoch);
  }

  #request(places: readonly number[], epoch: number): BatchRequest {
    const { transforms, onBroken = "skip", seed = 0 } = this.#options;
    return {
      images: places.map((place) => this.dataset.images[place] as ImageRecord),
      keys: places.map((place) => [seed, epoch, place, 2]),
      transforms,
      onBroken,
    };
  }

  /** @param start batch to begin at, to go on in the middle of an epoch */
  async *epoch(epoch: number, start = 0): AsyncGenerator<Batch, void, void> {
    const plan = this.#plan(epoch).slice(start);
    const pool = this.#pool;
    if (pool === null) {
      for (const places of plan) yield makeBatch(this.#request(places, epoch));
      return;
    }
    const { prefetch = 2, workers = 1 } = this.#options;
    const ahead: Promise<Batch>[] = [];
    let next = 0;
    const order = (): void => {
      while (next < plan.length && ahead.length < prefetch * workers) {
        const batch = pool.request(this.#request(plan[next++] as number[], epoch));
        batch.catch(() => {}); // told when its turn comes
        ahead.push(batch);
      }
    };
    for (order(); ahead.length > 0; order()) yield await (ahead.shift() as Promise<Batch>);
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    await this.#pool?.close();
    this.#pool = null;
  }
}
