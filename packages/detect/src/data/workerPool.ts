import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { EngineError, type EngineErrorCode } from "./errors.js";

interface Waiting {
  readonly worker: Worker;
  readonly resolve: (made: never) => void;
  readonly reject: (error: Error) => void;
}

interface Answer {
  readonly id: number;
  readonly made?: never;
  readonly error?: { readonly message: string; readonly code?: string };
}

/** The compiled file of a worker that lies beside this one; runners of TypeScript import this one from src. */
function compiled(name: string): string {
  const beside = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  return existsSync(beside) ? beside : beside.replace(/([\\/])src([\\/]data[\\/][^\\/]*)$/, "$1dist$2");
}

/** Threads that answer requests, each in turn. They keep the process alive only while one is under way. */
export class WorkerPool<Request, Made> {
  readonly #workers: Worker[];
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #failure: Error | null = null;

  /** @param name of the worker's file, without ending; it takes over none of the process's own node options */
  constructor(name: string, count: number) {
    this.#workers = Array.from({ length: count }, () => new Worker(compiled(name), { execArgv: [] }));
    for (const worker of this.#workers) {
      worker.unref();
      worker.on("message", (answer: Answer) => this.#settle(answer));
      worker.on("error", (error) => this.#fail(error.message, error));
      worker.on("exit", (code) => this.#fail(`it ended with code ${code}`));
    }
  }

  #settle({ id, made, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    if (![...this.#waiting.values()].some(({ worker }) => worker === waiting.worker)) waiting.worker.unref();
    if (error === undefined) waiting.resolve(made as never);
    else waiting.reject(new EngineError((error.code ?? "FILE") as EngineErrorCode, error.message));
  }

  #fail(reason: string, cause?: Error): void {
    this.#failure ??= new EngineError(
      "FILE",
      `a thread that reads pictures died: ${reason}. Memory may have run out: try fewer workers or a smaller batch`,
      { cause },
    );
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }

  request(request: Request): Promise<Made> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = this.#next++;
    const worker = this.#workers[id % this.#workers.length] as Worker;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { worker, resolve, reject });
      worker.ref();
      worker.postMessage({ id, request });
    });
  }

  /** Ends the threads; what is under way fails. */
  async close(): Promise<void> {
    this.#failure ??= new EngineError("BAD_ARGUMENT", "the data loader is closed");
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
