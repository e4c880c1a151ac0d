import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Transferable, Worker } from "node:worker_threads";
import { EngineError, type EngineErrorCode } from "../data/errors.js";

/** What travels of an error between threads. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly code?: string | undefined;
  readonly stack?: string | undefined;
}

export type Answer<Made> =
  | { readonly id: number; readonly made: Made }
  | { readonly id: number; readonly error: SentError };

export function sent(error: unknown): SentError {
  const { name, message, code, stack } = error as Error & { code?: string };
  return { name, message, code, stack };
}

/** Errors for people keep their kind; others keep the other thread's stack. */
function received({ name, message, code, stack }: SentError): Error {
  if (name === "EngineError" || name === "ModelError")
    return new EngineError((code ?? "FILE") as EngineErrorCode, message);
  return Object.assign(new Error(message), { stack });
}

/** The compiled file of a thread that lies beside this one; runners of TypeScript import this one from src. */
function compiled(name: string): string {
  const beside = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  return existsSync(beside) ? beside : beside.replace(/([\\/])src([\\/]serve[\\/][^\\/]*)$/, "$1dist$2");
}

interface Waiting<Made> {
  readonly resolve: (made: Made) => void;
  readonly reject: (error: Error) => void;
}

/** A thread that answers requests; an answer may come before that to an earlier request. */
export class Thread<Request, Made> {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting<Made>>();
  readonly #name: string;
  #next = 0;
  #failure: Error | null = null;

  /** @param onExit called once, also after {@link close} */
  constructor(name: string, workerData: unknown, onExit: () => void) {
    this.#name = name;
    // Options of the process (a debugger's, a test runner's) are not the thread's.
    this.#worker = new Worker(compiled(name), { workerData, execArgv: [] });
    this.#worker.on("message", (answer: Answer<Made>) => this.#settle(answer));
    this.#worker.on("error", (error) => this.#mark(error.message, error));
    this.#worker.on("exit", (code) => {
      this.#mark(`it ended with code ${code}`);
      // First, so that who is told of the failure finds what its owner did about it.
      onExit();
      for (const { reject } of this.#waiting.values()) reject(this.#failure as Error);
      this.#waiting.clear();
    });
  }

  #settle(answer: Answer<Made>): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("error" in answer) waiting?.reject(received(answer.error));
    else waiting?.resolve(answer.made);
  }

  #mark(reason: string, cause?: Error): void {
    this.#failure ??= new Error(`${this.#name} died: ${reason}`, { cause });
  }

  /** @throws what the thread threw, or that it died */
  request(request: Request, transfer: readonly Transferable[] = []): Promise<Made> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request }, transfer);
    });
  }

  /** Ends the thread; what is under way fails. */
  async close(): Promise<void> {
    this.#mark("it was closed");
    await this.#worker.terminate();
  }
}
