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
  /** Called after each request. */
  #onEnd: (() => void) | null = null;
  #isStopping = false;

  constructor(
    readonly measures: Measures,
    readonly options: ServeOptions,
  ) {}

  get isStopping(): boolean {
    return this.#isStopping;
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
      this.#onEnd?.();
    });
  }

  /** Its answer is ready: the client has so long to take it. */
  answering(outgoing: ServerResponse): void {
    if (outgoing.closed) return;
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
   * From now on answers end their connections. Resolves when the requests that are under way now have ended, or when
   * time is up; returns how many of them have not.
   */
  async stop(withinMs: number): Promise<number> {
    this.#isStopping = true;
    const accepted = [...this.#open];
    for (const outgoing of accepted) outgoing.shouldKeepAlive = false;
    const left = (): number => accepted.filter((outgoing) => this.#open.has(outgoing)).length;
    await this.#until(() => left() === 0, withinMs);
    return left();
  }

  /** Resolves when no request is under way, or when time is up. */
  quiet(withinMs: number): Promise<void> {
    return this.#until(() => this.#open.size === 0, withinMs);
  }

  #until(holds: () => boolean, withinMs: number): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#onEnd = null;
        resolve();
      };
      const timer = setTimeout(end, withinMs);
      this.#onEnd = () => {
        if (holds()) end();
      };
    });
  }
}
