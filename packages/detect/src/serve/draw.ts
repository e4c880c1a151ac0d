import type { Detection } from "@sepc/core";
import { Thread } from "./thread.js";

export interface DrawRequest {
  /** The picture as it came, encoded. */
  readonly bytes: Uint8Array;
  readonly maxPixels: number;
  readonly objects: readonly Detection[];
  readonly classes: readonly string[];
  readonly format: "jpeg" | "png";
}

/** Draws answers in a thread of its own, one at a time: a large picture takes a second and hundreds of megabytes. */
export class Drawer {
  #thread: Thread<DrawRequest, Uint8Array<ArrayBuffer>> | null = null;
  #last: Promise<unknown> = Promise.resolve();
  /** Under way and waiting. */
  length = 0;

  /** @param signal ends the wait for what has not begun; its reason is thrown */
  async draw(request: DrawRequest, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    this.length++;
    const turn = this.#last.then(() => {
      signal.throwIfAborted();
      return this.#start().request(request);
    });
    this.#last = turn.then(
      () => this.length--,
      () => this.length--,
    );
    return untilAborted(turn, signal);
  }

  #start(): Thread<DrawRequest, Uint8Array<ArrayBuffer>> {
    this.#thread ??= new Thread("drawThread", null, () => {
      this.#thread = null;
    });
    return this.#thread;
  }

  async close(): Promise<void> {
    await this.#thread?.close();
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
