import type { IncomingMessage, ServerResponse } from "node:http";
import { ClientGone, Problem } from "./problem.js";

/** Bytes in memory that many share, up to a limit. */
export class ByteBudget {
  held = 0;

  constructor(readonly limit: number) {}

  /** Whether there was room for so many more; if so they are taken. */
  take(bytes: number): boolean {
    if (this.held + bytes > this.limit) return false;
    this.held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.held -= bytes;
  }
}

export interface BodyLimits {
  readonly maxBytes: number;
  /** Milliseconds for all of it, and between two pieces. */
  readonly timeoutMs: number;
  readonly pauseMs: number;
}

export const megabytes = (bytes: number): string => `${Number((bytes / 1e6).toFixed(1))} MB`;

const tooLarge = (maxBytes: number): Problem =>
  new Problem(
    "too-large",
    `expected at most ${megabytes(maxBytes)} in a request; send a smaller picture, or fewer at once`,
  );

const noMemory = (limit: number): Problem =>
  new Problem(
    "queue-full",
    `requests under way fill the ${megabytes(limit)} kept for them; try again in 1 s`,
    {
      "retry-after": "1",
    },
  );

/** Refuses by what the head says, before anything of the body is read. @throws Problem too-large */
export function checkLength({ headers }: IncomingMessage, maxBytes: number): void {
  if (Number(headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
}

/** Collects what arrives, within the limits; `end` is called once, with what to tell when it failed. */
class Collector {
  #parts: Buffer[] = [];
  readonly #deadline: NodeJS.Timeout;
  #pause: NodeJS.Timeout;
  bytes = 0;

  constructor(
    readonly limits: BodyLimits,
    readonly budget: ByteBudget,
    readonly end: (problem: Error | null) => void,
  ) {
    const late = (what: string, ms: number) => (): void =>
      end(new Problem("slow-request", `${what} within ${ms / 1000} s; is the connection too slow?`));
    this.#deadline = setTimeout(late("expected the whole body", limits.timeoutMs), limits.timeoutMs);
    this.#pause = setTimeout(late("expected the body's next piece", limits.pauseMs), limits.pauseMs);
  }

  add(part: Buffer): void {
    this.#pause.refresh();
    if (this.bytes + part.length > this.limits.maxBytes) this.end(tooLarge(this.limits.maxBytes));
    else if (!this.budget.take(part.length)) this.end(noMemory(this.budget.limit));
    else {
      this.bytes += part.length;
      this.#parts.push(part);
    }
  }

  stop(): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#pause);
  }

  /** All that came; nothing is kept here. */
  release(): Buffer[] {
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }
}

/**
 * Reads a request's body. Its bytes stay counted in the budget until the answer has been taken or the connection ends.
 * @throws Problem too-large, slow-request, queue-full; ClientGone when the connection ends before the body
 */
export function readBody(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  limits: BodyLimits,
  budget: ByteBudget,
): Promise<Buffer> {
  // A client that asked waits for this before it sends anything.
  if (incoming.headers.expect?.toLowerCase() === "100-continue") outgoing.writeContinue();
  return new Promise((resolve, reject) => {
    const finish = (problem: Error | null): void => {
      collector.stop();
      incoming.off("data", take).off("end", ended).off("error", gone).off("close", gone);
      // Errors of a connection that is given up must still find a listener.
      incoming.on("error", () => {});
      const parts = collector.release();
      if (problem === null) {
        resolve(Buffer.concat(parts));
        return;
      }
      incoming.pause();
      reject(problem);
    };
    const collector = new Collector(limits, budget, finish);
    outgoing.once("close", () => budget.give(collector.bytes));
    const take = (part: Buffer): void => collector.add(part);
    const ended = (): void => finish(null);
    const gone = (): void => finish(new ClientGone());
    if (incoming.destroyed) gone();
    else incoming.on("data", take).on("end", ended).on("error", gone).on("close", gone);
  });
}
