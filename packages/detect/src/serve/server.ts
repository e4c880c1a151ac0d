import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import sharp from "sharp";
import { decodeImage } from "../data/decode.js";
import { EngineError } from "../data/errors.js";
import { createApp } from "./app.js";
import { Batcher } from "./batcher.js";
import { ByteBudget } from "./body.js";
import { Drawer } from "./draw.js";
import { Measures } from "./measures.js";
import type { ServedModel } from "./model.js";
import { defaultOptions, type ServeOptions } from "./options.js";
import { Traffic } from "./traffic.js";

/** A server at work. */
export interface RunningServer {
  /** As http://127.0.0.1:8080 */
  readonly url: string;
  readonly port: number;
  /**
   * Refuses new pictures, finishes what was accepted, closes everything, the model too. May be called again.
   * @returns how many requests were cut off because time was up
   */
  stop(): Promise<number>;
}

const lingerMs = 100;

function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** Node's own limits, behind those of the routes. */
function httpServer(listener: RequestListener, options: ServeOptions, measures: Measures): Server {
  const server = createServer(
    {
      headersTimeout: options.headMs,
      requestTimeout: options.headMs + options.timeoutMs,
      connectionsCheckingInterval: Math.max(50, Math.min(1000, options.headMs / 2)),
      // Longer than load balancers keep idle connections: the one that closes must not be the one that does not send.
      keepAliveTimeout: 65_000,
    },
    listener,
  );
  server.maxConnections = options.connections;
  // The body's reader says when to go on; a request that is refused by its head sends no body at all.
  server.on("checkContinue", listener);
  server.on("drop", () => measures.dropped.add({ reason: "too many connections" }));
  return server;
}

function listen(server: Server, { host, port, warn }: ServeOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: NodeJS.ErrnoException): void => {
      const why = cause.code === "EADDRINUSE" ? "another program has it; choose another port" : cause.message;
      reject(new EngineError("BAD_ARGUMENT", `cannot listen on ${host}:${port}: ${why}`, { cause }));
    };
    server.once("error", refuse);
    server.listen(port, host, () => {
      // From here on it may fail to accept a connection (no more files), and goes on.
      server.off("error", refuse).on("error", ({ message }) => warn(`a connection failed: ${message}`));
      resolve(server.address() as AddressInfo);
    });
  });
}

function urlOf({ address, family, port }: AddressInfo): string {
  const isAny = address === "0.0.0.0" || address === "::";
  const host = isAny ? "localhost" : family === "IPv6" ? `[${address}]` : address;
  return `http://${host}:${port}`;
}

/** Everything between the sockets and the network. */
function assemble(model: ServedModel, options: ServeOptions) {
  const measures = new Measures();
  const traffic = new Traffic(measures, options);
  const batcher = new Batcher(
    (pictures, postprocess) => model.detectAll(pictures, postprocess),
    (bytes) => decodeImage(bytes, { maxPixels: options.maxPixels }),
    options,
    measures,
  );
  const services = {
    ...{ model, batcher, measures, options },
    drawer: new Drawer(),
    budget: new ByteBudget(options.heldBytes),
  };
  let open = 0;
  const app = createApp({
    ...services,
    version: packageVersion(),
    isStopping: () => traffic.isStopping,
    answering: (outgoing) => traffic.answering(outgoing),
    connections: () => open,
  });
  const answer = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server = httpServer(
    (incoming, outgoing) => {
      traffic.begin(incoming, outgoing);
      void answer(incoming, outgoing);
    },
    options,
    measures,
  );
  server.on("connection", (socket) => {
    open++;
    socket.once("close", () => open--);
  });
  return { server, traffic, drawer: services.drawer };
}

/**
 * Serves a model over HTTP.
 * @throws EngineError BAD_ARGUMENT when the address cannot be had
 */
export async function startServer(
  model: ServedModel,
  overrides: Partial<ServeOptions> = {},
): Promise<RunningServer> {
  const options = { ...defaultOptions, ...overrides };
  // Each picture comes once: nothing is worth keeping.
  sharp.cache(false);
  const { server, traffic, drawer } = assemble(model, options);
  const address = await listen(server, options);
  let stopping: Promise<number> | undefined;
  const stop = async (): Promise<number> => {
    // A body may take the timeout to arrive, its answer as long again.
    const cut = await traffic.stop(2 * options.timeoutMs + options.graceMs);
    // Straight after the sockets were looked at, the system holds the fewest connections that would be reset unseen;
    // those that came just before get a refusal.
    await new Promise((resolve) => setImmediate(resolve));
    const closed = new Promise((resolve) => server.close(resolve));
    await new Promise((resolve) => setTimeout(resolve, lingerMs));
    await traffic.quiet(lingerMs);
    server.closeAllConnections();
    await closed;
    await Promise.all([drawer.close(), model.close()]);
    return cut;
  };
  return {
    url: urlOf(address),
    port: address.port,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}
