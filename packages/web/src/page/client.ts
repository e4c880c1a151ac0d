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

/** One worker as functions. */
class Link {
  readonly #worker = new Worker(new URL("../worker/main.ts", import.meta.url), { type: "module" });
  #next = 0;
  readonly #waiting = new Map<number, Waiting>();

  constructor() {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => this.#settle(data));
    this.#worker.addEventListener("error", ({ message }) =>
      this.end(new Error(`the worker failed${message ? `: ${message}` : ""}; load the model again`)),
    );
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ("fault" in reply) waiting?.reject(new Error(reply.fault));
    else waiting?.resolve(reply.answer as never);
  }

  call<K extends CallName>(
    name: K,
    ask: Calls[K]["ask"],
    transfer: Transferable[],
  ): Promise<Calls[K]["answer"]> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, name, ask } as Question, transfer);
    });
  }

  end(error: Error): void {
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** The worker that has the network. Each model gets a worker of its own: back end and threads are fixed in one. */
export class DetectorClient {
  #link: Link | null = null;
  #coming: Link | null = null;

  /** Loads a model; the one before stays in use until this one is ready. @throws Error with the worker's words */
  async load(file: ModelFile, engine: EngineChoice): Promise<LoadedModel> {
    this.#coming?.end(new Stopped("another model is loaded"));
    const link = new Link();
    this.#coming = link;
    try {
      const loaded = await link.call("load", { ...file, engine }, []);
      this.#link?.end(new Stopped("another model is loaded"));
      this.#link = link;
      return loaded;
    } catch (error) {
      link.end(new Stopped("not loaded"));
      throw error;
    } finally {
      if (this.#coming === link) this.#coming = null;
    }
  }

  /** @throws Error with the worker's words; Stopped when it is stopped meanwhile */
  call<K extends CallName>(
    name: K,
    ask: Calls[K]["ask"],
    transfer: Transferable[] = [],
  ): Promise<Calls[K]["answer"]> {
    return (
      this.#link?.call(name, ask, transfer) ??
      Promise.reject(new Error("no model is loaded yet: choose an .onnx file first"))
    );
  }

  /** Ends the workers, whatever they do; the model must be loaded again. */
  stop(): void {
    for (const link of [this.#link, this.#coming]) link?.end(new Stopped("stopped"));
    this.#link = null;
    this.#coming = null;
  }

  get running(): boolean {
    return this.#link !== null;
  }
}
