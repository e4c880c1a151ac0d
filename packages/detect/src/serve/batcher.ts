import type { Postprocess, RgbImage } from "@sepc/core";
import type { DetectedObject } from "../inference/detector.js";
import type { Measures } from "./measures.js";
import { mostObjects } from "./options.js";
import { ClientGone, Problem } from "./problem.js";

/** The network as the batcher needs it. */
export type DetectAll = (
  pictures: readonly RgbImage[],
  options: Partial<Postprocess>,
) => Promise<DetectedObject[][]>;

/** A picture to look at. */
export interface Ask {
  /** As it came, encoded. */
  readonly bytes: Uint8Array;
  /** How many it says it has. */
  readonly pixels: number;
  /** How the client called it, for messages. */
  readonly name: string;
  readonly score: number;
}

/** What was found in a picture; objects below its own score may be among them. Times in milliseconds. */
export interface Found {
  readonly objects: readonly DetectedObject[];
  readonly width: number;
  readonly height: number;
  readonly batchSize: number;
  readonly times: { readonly decode: number; readonly wait: number; readonly infer: number };
}

export interface BatcherOptions {
  readonly maxBatch: number;
  readonly maxWaitMs: number;
  readonly queue: number;
  readonly maxPixels: number;
}

interface Item {
  readonly ask: Ask;
  /** When it was accepted, and when it was decoded. */
  readonly at: number;
  readyAt: number;
  /** Milliseconds that its decoding took. */
  decodeMs: number;
  state: "encoded" | "decoding" | "ready" | "running" | "over";
  image: RgbImage | null;
  readonly resolve: (found: Found) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Accepted pictures, in the order in which they came. They are decoded while the network works on those before them; a
 * batch starts when it is full or one of its pictures has been ready for long enough.
 */
export class Batcher {
  #items: Item[] = [];
  #held = 0;
  #timer: NodeJS.Timeout | undefined;
  #runningSince: number | null = null;
  /** Of one picture, lately. */
  #seconds = 0.1;

  constructor(
    readonly detectAll: DetectAll,
    readonly decode: (bytes: Uint8Array) => Promise<RgbImage>,
    readonly options: BatcherOptions,
    readonly measures: Measures,
  ) {}

  /** Pictures accepted and not yet with the network. */
  get length(): number {
    return this.#items.length;
  }

  /** Milliseconds for which the network has been at work on one batch; 0 when it is idle. */
  get busyMs(): number {
    return this.#runningSince === null ? 0 : performance.now() - this.#runningSince;
  }

  /** @throws Problem queue-full unless there is room for that many */
  checkRoom(count: number): void {
    const { queue } = this.options;
    if (this.#items.length + count <= queue) return;
    const seconds = Math.min(60, Math.max(1, Math.ceil(this.#items.length * this.#seconds)));
    throw new Problem(
      "queue-full",
      `${this.#items.length} pictures wait already and at most ${queue} may; try again in ${seconds} s`,
      { "retry-after": String(seconds) },
    );
  }

  /**
   * Accepts pictures, all or none.
   * @param signal ends the wait for those that are not with the network yet; its reason is thrown
   * @throws Problem queue-full, broken-picture, failed
   */
  async add(asks: readonly Ask[], signal: AbortSignal): Promise<Found[]> {
    signal.throwIfAborted();
    this.checkRoom(asks.length);
    this.measures.accepted.add({}, asks.length);
    const items: Item[] = [];
    const results = asks.map(
      (ask) =>
        new Promise<Found>((resolve, reject) => {
          const at = performance.now();
          items.push({ ask, at, readyAt: 0, decodeMs: 0, state: "encoded", image: null, resolve, reject });
        }),
    );
    const leave = (): void => this.#leave(items, signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    this.#items.push(...items);
    this.#step();
    try {
      return await Promise.all(results);
    } catch (error) {
      // One of several failed: nobody will see the others.
      this.#leave(items, error);
      throw error;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  #leave(items: readonly Item[], reason: unknown): void {
    for (const item of items) this.#end(item, () => item.reject(reason), outcomeOf(reason));
    this.#step();
  }

  /** Takes a picture out, once; what still works on it finds it over. */
  #end(item: Item, settle: () => void, outcome: Parameters<Measures["outcome"]>[0]): void {
    if (item.state === "over") return;
    if (item.state === "ready") this.#held -= item.ask.pixels;
    item.state = "over";
    item.image = null;
    this.#items = this.#items.filter((other) => other !== item);
    this.measures.outcome(outcome);
    settle();
  }

  /** Starts whatever can be started. */
  #step(): void {
    this.#startDecoding();
    if (this.#runningSince !== null) return;
    const { maxBatch, maxWaitMs } = this.options;
    const ready = this.#items.filter(({ state }) => state === "ready");
    clearTimeout(this.#timer);
    if (ready.length === 0) return;
    const oldest = Math.min(...ready.map(({ readyAt }) => readyAt));
    const left = maxWaitMs - (performance.now() - oldest);
    if (ready.length >= maxBatch || left <= 0) void this.#run(ready.slice(0, maxBatch));
    else this.#timer = setTimeout(() => this.#step(), left);
  }

  /** Two batches' worth lie decoded at most, and no more pixels than two of the largest pictures have. */
  #startDecoding(): void {
    const { maxBatch, maxPixels } = this.options;
    let ahead = this.#items.filter(({ state }) => state === "decoding" || state === "ready").length;
    for (const item of this.#items) {
      if (item.state !== "encoded") continue;
      const fits = this.#held === 0 || this.#held + item.ask.pixels <= 2 * maxPixels;
      if (ahead >= 2 * maxBatch || !fits) return;
      ahead++;
      void this.#decodeItem(item);
    }
  }

  async #decodeItem(item: Item): Promise<void> {
    const { pixels, bytes, name } = item.ask;
    item.state = "decoding";
    this.#held += pixels;
    const start = performance.now();
    let image: RgbImage | null = null;
    let fault: unknown;
    try {
      image = await this.decode(bytes);
    } catch (error) {
      fault = error;
    }
    // Until here its pixels are in memory, whether or not anybody still waits for them.
    const isWanted = item.state === "decoding";
    if (!isWanted || image === null) this.#held -= pixels;
    if (isWanted && image !== null) {
      item.state = "ready";
      item.image = image;
      item.readyAt = performance.now();
      item.decodeMs = item.readyAt - start;
      this.measures.stage("decode", item.decodeMs);
    } else if (isWanted) {
      this.#end(item, () => item.reject(brokenPicture(name, fault)), "broken");
    }
    this.#step();
  }

  async #run(batch: readonly Item[]): Promise<void> {
    const start = performance.now();
    this.#runningSince = start;
    const images = batch.map(({ image }) => image as RgbImage);
    for (const item of batch) {
      item.state = "running";
      item.image = null;
      this.measures.stage("wait", start - item.at - item.decodeMs);
    }
    this.#items = this.#items.filter(({ state }) => state !== "running");
    await this.#answer(batch, images);
    for (const { ask } of batch) this.#held -= ask.pixels;
    this.#runningSince = null;
    const each = (performance.now() - start) / 1000 / batch.length;
    this.#seconds += 0.2 * (each - this.#seconds);
    this.#step();
  }

  async #answer(batch: readonly Item[], images: readonly RgbImage[]): Promise<void> {
    const start = performance.now();
    try {
      const scoreThreshold = Math.min(...batch.map(({ ask }) => ask.score));
      const found = await this.detectAll(images, { scoreThreshold, maxPerImage: mostObjects });
      const infer = performance.now() - start;
      this.measures.batchSize.observe(batch.length);
      for (const [i, item] of batch.entries()) {
        const { width, height } = images[i] as RgbImage;
        const objects = found[i] ?? [];
        const times = { decode: item.decodeMs, wait: start - item.at - item.decodeMs, infer };
        this.measures.stage("infer", infer);
        const answer = { objects, width, height, batchSize: batch.length, times };
        this.#end(item, () => item.resolve(answer), "done");
      }
    } catch (error) {
      // One picture may be to blame: its neighbours get another chance, each alone.
      if (batch.length > 1) {
        for (const [i, item] of batch.entries())
          if (item.state === "running") await this.#answer([item], [images[i] as RgbImage]);
      } else for (const item of batch) this.#end(item, () => item.reject(error), "failed");
    }
  }
}

function outcomeOf(reason: unknown): "client gone" | "timed out" | "failed" {
  if (reason instanceof ClientGone) return "client gone";
  return reason instanceof Problem && reason.kind === "timed-out" ? "timed out" : "failed";
}

function brokenPicture(name: string, fault: unknown): Problem {
  const [reason = ""] = (fault as Error).message.split("\n");
  return new Problem("broken-picture", `${name}: ${reason.replace(/^picture in memory: /, "")}`);
}
