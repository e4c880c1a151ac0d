import type { CallName, Calls, EngineChoice, LoadedModel, Question, Reply } from "../protocol.js";

/** Refusal of work that was stopped by the person. */
export class Stopped extends Error {
  override name = "AbortError";
}

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

export interface ModelFile {
  readonly name: string;
  readonly model: Blob;
}

/** The worker that has the network, as functions. A model is loaded in a new worker: back end and threads are fixed in one. */
export class DetectorClient {
  #worker: Worker | null = null;
  #next = 0;
  readonly #waiting = new Map<number, Waiting>();

  #start(): Worker {
    const worker = new Worker(new URL("../worker/main.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => this.#settle(data));
    worker.addEventListener("error", ({ message }) =>
      this.#drop(new Error(`the worker failed${message ? `: ${message}` : ""}; load the model again`)),
    );
    return worker;
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ("fault" in reply) waiting?.reject(new Error(reply.fault));
    else waiting?.resolve(reply.answer as never);
  }

  #drop(error: Error): void {
    this.#worker?.terminate();
    this.#worker = null;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }

  async load(file: ModelFile, engine: EngineChoice): Promise<LoadedModel> {
    this.stop();
    this.#worker = this.#start();
    return this.call("load", { ...file, engine });
  }

  /** @throws Error with the worker's words; Stopped when it is stopped meanwhile */
  call<K extends CallName>(
    name: K,
    ask: Calls[K]["ask"],
    transfer: Transferable[] = [],
  ): Promise<Calls[K]["answer"]> {
    const worker = this.#worker;
    if (worker === null)
      return Promise.reject(new Error("no model is loaded yet: choose an .onnx file first"));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ id, name, ask } as Question, transfer);
    });
  }

  /** Ends the worker, whatever it does; the model must be loaded again. */
  stop(): void {
    this.#drop(new Stopped("stopped"));
  }

  get running(): boolean {
    return this.#worker !== null;
  }
}
