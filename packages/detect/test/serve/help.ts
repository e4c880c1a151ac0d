// What the server's tests share: a network that does as it is told, pictures, and clients that speak raw bytes.
import { connect } from "node:net";
import type { Postprocess, RgbImage } from "@sepc/core";
import sharp from "sharp";
import type { DetectedObject } from "../../src/inference/detector.js";
import {
  type RunningServer,
  type ServedModel,
  type ServeOptions,
  startServer,
} from "../../src/serve/index.js";

export type Body = NonNullable<RequestInit["body"]>;

export interface Call {
  readonly pictures: readonly RgbImage[];
  readonly options: Partial<Postprocess>;
  /** Lets a call that waits go on. */
  readonly release: () => void;
}

const dot = { box: [1, 2, 4, 6], label: 1, name: "dot", score: 0.2 } as const;
/** One that takes much room as JSON. */
const longDot = { ...dot, box: [Math.E, Math.PI, 7 * Math.E, 7 * Math.PI] } as const;

/** Finds a "cell" of half the picture with score 0.9 and "dots" with score 0.2 in every picture. */
export class FakeModel implements ServedModel {
  readonly calls: Call[] = [];
  readonly #watchers: (() => void)[] = [];
  isReady = true;
  isClosed = false;
  description = {
    name: "fake",
    detector: "retinanet",
    classes: ["cell", "dot"],
    input: { scale: [64, 64], sizeDivisor: 32, mean: [0, 0, 0], std: [1, 1, 1], channels: "rgb" },
    precision: "float32",
  } as const;

  /** @param waits whether each call waits until it is released */
  constructor(
    readonly waits = false,
    readonly fail: (pictures: readonly RgbImage[]) => void = () => {},
    readonly dots = 1,
  ) {}

  async detectAll(pictures: readonly RgbImage[], options: Partial<Postprocess>): Promise<DetectedObject[][]> {
    await new Promise<void>((resolve) => {
      this.calls.push({ pictures, options, release: resolve });
      if (!this.waits) resolve();
      for (const watch of this.#watchers.splice(0)) watch();
    });
    this.fail(pictures);
    return pictures.map(({ width, height }) => [
      { box: [0, 0, width / 2, height / 2], label: 0, name: "cell", score: 0.9 },
      ...(this.dots === 1 ? [dot] : Array.from({ length: this.dots }, () => longDot)),
    ]);
  }

  /** Resolves once so many calls have begun. */
  async called(count: number): Promise<Call> {
    while (this.calls.length < count) await new Promise<void>((resolve) => this.#watchers.push(resolve));
    return this.calls[count - 1] as Call;
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

const running: RunningServer[] = [];

/** A server on a free port; {@link stopServers} ends it. */
export async function serverOf(
  model: ServedModel,
  options: Partial<ServeOptions> = {},
): Promise<RunningServer> {
  const quick = { port: 0, maxWaitMs: 0, graceMs: 0, warn: () => {} };
  const server = await startServer(model, { ...quick, ...options });
  running.push(server);
  return server;
}

export async function stopServers(): Promise<void> {
  await Promise.all(running.splice(0).map((server) => server.stop()));
}

export function picture(
  width = 40,
  height = 20,
  format: "png" | "jpeg" | "webp" = "png",
): Promise<Buffer<ArrayBuffer>> {
  const image = sharp({ create: { width, height, channels: 3, background: "red" } });
  return image.toFormat(format).toBuffer() as Promise<Buffer<ArrayBuffer>>;
}

export function post(
  { url }: RunningServer,
  body: Body,
  { query = "", type = "image/png", ...more }: RequestInit & { query?: string; type?: string } = {},
): Promise<Response> {
  const headers: Record<string, string> = type === "" ? {} : { "content-type": type };
  return fetch(`${url}/v1/detect${query}`, {
    method: "POST",
    body,
    ...more,
    headers: { ...headers, ...(more.headers as Record<string, string>) },
  });
}

export async function metric({ url }: RunningServer, line: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const found = text.split("\n").find((one) => one.startsWith(`${line} `));
  return found === undefined ? 0 : Number(found.slice(line.length + 1));
}

/** Looks again until it holds; the test's own limit ends a wait for nothing. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A connection that sends what it is told and keeps all that comes back. */
export function rawClient({ port }: RunningServer) {
  const socket = connect({ port, host: "127.0.0.1" });
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (part: string) => {
    text += part;
  });
  socket.on("error", () => {});
  const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(text)));
  return { socket, closed, text: () => text, send: (data: string | Uint8Array) => void socket.write(data) };
}

export const head = (more: readonly string[] = []): string =>
  ["POST /v1/detect HTTP/1.1", "host: x", "content-type: image/png", ...more, "", ""].join("\r\n");

/**
 * Asks for an answer of many megabytes, more than the system's buffers take, and takes nothing of it.
 * @param server whose model finds a thousand objects in a picture
 */
export async function idleReader(server: RunningServer) {
  const bytes = await picture();
  const part = `--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n`;
  const body = Buffer.concat([
    ...Array.from({ length: 64 }, () => Buffer.concat([Buffer.from(part), bytes, Buffer.from("\r\n")])),
    Buffer.from("--b--\r\n"),
  ]);
  const client = rawClient(server);
  client.socket.pause();
  const type = "content-type: multipart/form-data; boundary=b";
  client.send(
    [
      "POST /v1/detect?score=0.1&max=1000 HTTP/1.1",
      "host: x",
      type,
      `content-length: ${body.length}`,
      "",
      "",
    ].join("\r\n"),
  );
  client.send(body);
  await until(async () => (await metric(server, 'sepc_pictures_total{outcome="done"}')) === 64);
  return client;
}
