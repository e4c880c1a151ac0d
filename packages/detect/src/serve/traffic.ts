import type { IncomingMessage, ServerResponse } from "node:http";
import type { Measures } from "./measures.js";
import type { ServeOptions } from "./options.js";

const routes = new Set(["/", "/v1/detect", "/v1/model", "/openapi.json", "/healthz", "/readyz", "/metrics"]);

/** Paths that clients make up share one label. */
function routeOf(url: string | undefined): string {
  const path = (url ?? "").replace(/\?.*$/s, "");
  return routes.has(path) ? path : "other";
}

/** Requests under way: counted, logged, and waited for when the server stops. */
export class Traffic {
  readonly #open = new Set<ServerResponse>();
  #quiet: (() => void) | null = null;
  #isStopping = false;

  constructor(
    readonly measures: Measures,
    readonly options: ServeOptions,
  ) {}

  get isStopping(): boolean {
    return this.#isStopping;
  }

  get size(): number {
    return this.#open.size;
  }

  /** A request's head has arrived. */
  begin(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const start = performance.now();
    this.#open.add(outgoing);
    this.measures.inProgress = this.#open.size;
    if (this.#isStopping) outgoing.shouldKeepAlive = false;
    outgoing.once("close", () => {
      this.#open.delete(outgoing);
      this.measures.inProgress = this.#open.size;
      this.#count(incoming, outgoing, performance.now() - start);
      if (this.#open.size === 0) this.#quiet?.();
    });
  }

  /** Its answer is ready: the client has so long to take it. */
  answering(outgoing: ServerResponse): void {
    const timer = setTimeout(() => {
      this.measures.dropped.add({ reason: "slow reader" });
      outgoing.destroy();
    }, this.options.writeMs);
    outgoing.once("close", () => clearTimeout(timer));
  }

  #count({ method = "", url }: IncomingMessage, outgoing: ServerResponse, ms: number): void {
    const route = routeOf(url);
    // As nginx has it: the client closed the connection before it had its answer.
    const status = outgoing.writableFinished ? outgoing.statusCode : 499;
    this.measures.requests.add({ route, status: String(status) });
    this.measures.latency.observe(ms / 1000, { route });
    const { log } = this.options;
    log?.(
      JSON.stringify({ time: new Date().toISOString(), method, route, status, ms: Number(ms.toFixed(1)) }),
    );
  }

  /**
   * From now on answers end their connections. Resolves when no request has been under way for a moment, or when time is
   * up; returns how many still are.
   */
  async stop(withinMs: number): Promise<number> {
    this.#isStopping = true;
    for (const outgoing of this.#open) outgoing.shouldKeepAlive = false;
    const end = performance.now() + withinMs;
    // Requests on their way at this moment get a refusal instead of a closed door.
    const lingerMs = 100;
    for (let left = withinMs; left > 0; left = end - performance.now()) {
      await this.#untilQuiet(left);
      await new Promise((resolve) => setTimeout(resolve, lingerMs));
      if (this.#open.size === 0) break;
    }
    return this.#open.size;
  }

  #untilQuiet(withinMs: number): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#quiet = () => {
        clearTimeout(timer);
        this.#quiet = null;
        resolve();
      };
    });
  }
}
