import type { IncomingMessage, ServerResponse } from "node:http";
import { EngineError } from "../data/errors.js";
import type { Batcher, Found } from "./batcher.js";
import { type ByteBudget, checkLength, readBody } from "./body.js";
import type { Drawer } from "./draw.js";
import type { Measures } from "./measures.js";
import type { ServedModel } from "./model.js";
import type { ServeOptions } from "./options.js";
import { bodyKind, type MeasuredUpload, measure, splitMultipart, type Upload } from "./pictures.js";
import { ClientGone, Problem } from "./problem.js";
import { parseQuery, type Query } from "./query.js";
import type { Result } from "./schemas.js";

/** What answering needs. */
export interface Services {
  readonly model: ServedModel;
  readonly batcher: Batcher;
  readonly drawer: Drawer;
  readonly budget: ByteBudget;
  readonly measures: Measures;
  readonly options: ServeOptions;
}

export interface DetectRequest {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly query: URLSearchParams;
  /** Type of the drawn picture that the client asks for in Accept; null for JSON. */
  readonly accepts: "jpeg" | "png" | null;
}

/** Ends when the client goes or time is up; the reason says which. */
function lifeOf(outgoing: ServerResponse): { signal: AbortSignal; limit(ms: number): void } {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  outgoing.once("close", () => {
    clearTimeout(timer);
    if (!outgoing.writableFinished) controller.abort(new ClientGone());
  });
  const late = (ms: number): Problem =>
    new Problem(
      "timed-out",
      `no answer within ${ms / 1000} s; try again later, or with fewer or smaller pictures`,
    );
  return {
    signal: controller.signal,
    limit: (ms) => {
      if (!outgoing.closed) timer = setTimeout(() => controller.abort(late(ms)), ms);
    },
  };
}

/** @throws Problem too-large when there are more than the queue could ever take */
function checkCount(uploads: readonly Upload[], { queue }: ServeOptions, isDrawn: boolean): void {
  if (uploads.length > queue)
    throw new Problem(
      "too-large",
      `expected at most ${queue} pictures in a request, got ${uploads.length}; send them in several`,
    );
  if (isDrawn && uploads.length > 1)
    throw new Problem("bad-query", `draw: expected one picture, got ${uploads.length}`);
}

async function uploadsOf(body: Buffer, kind: "picture" | "multipart", type: string): Promise<Upload[]> {
  if (kind === "picture") return [{ name: "picture", bytes: body }];
  return splitMultipart(body as Buffer<ArrayBuffer>, type);
}

function objectsOf(found: Found, { score, max, classes }: Query): Found["objects"] {
  return found.objects
    .filter((object) => object.score >= score && (classes?.has(object.label) ?? true))
    .slice(0, max);
}

function resultOf(name: string, found: Found, query: Query, receive: number): Result {
  const { width, height, batchSize, times } = found;
  return {
    name,
    image: { width, height },
    objects: objectsOf(found, query).map(({ box: [x, y, x2, y2], name: label, label: place, score }) => ({
      label,
      category_id: place + 1,
      score,
      bbox: [x, y, x2 - x, y2 - y],
      box: { x, y, width: x2 - x, height: y2 - y },
    })),
    batch_size: batchSize,
    timings_ms: { receive, ...times },
  };
}

/** The browser's tools show these in the network tab. */
function serverTiming(receive: number, found: readonly Found[]): string {
  const worst = (stage: keyof Found["times"]): number => Math.max(...found.map(({ times }) => times[stage]));
  const stages = { receive, decode: worst("decode"), wait: worst("wait"), infer: worst("infer") };
  return Object.entries(stages)
    .map(([stage, ms]) => `${stage};dur=${ms.toFixed(1)}`)
    .join(", ");
}

async function drawn(
  { model, drawer, measures, options }: Services,
  { bytes }: Upload,
  objects: Found["objects"],
  format: "jpeg" | "png",
  signal: AbortSignal,
): Promise<Response> {
  const start = performance.now();
  const { maxPixels } = options;
  const { classes } = model.description;
  const picture = await drawer.draw({ bytes, maxPixels, objects, classes, format }, signal);
  measures.stage("draw", performance.now() - start);
  return new Response(picture, { headers: { "content-type": `image/${format}` } });
}

/** Refuses what need not be read at all. */
function admit(services: Services, { incoming, query, accepts }: DetectRequest) {
  const { model, batcher, drawer, options } = services;
  const asked = parseQuery(query, model.description.classes, options);
  const kind = bodyKind(incoming.headers["content-type"]);
  checkLength(incoming, options.maxBytes);
  batcher.checkRoom(1);
  const format = accepts ?? (asked.draw ? "jpeg" : null);
  if (format !== null && drawer.length >= options.queue)
    throw new Problem("queue-full", "too many pictures wait to be drawn; ask for JSON, or try again in 5 s", {
      "retry-after": "5",
    });
  return { asked, kind, format } as const;
}

/**
 * Answers POST /v1/detect.
 * @throws Problem for the client; ClientGone
 */
export async function detect(services: Services, request: DetectRequest): Promise<Response> {
  const { batcher, budget, measures, options } = services;
  const { incoming, outgoing } = request;
  const { asked, kind, format } = admit(services, request);
  const life = lifeOf(outgoing);
  const start = performance.now();
  const body = await readBody(incoming, outgoing, options, budget);
  const receive = performance.now() - start;
  measures.stage("receive", receive);
  life.limit(options.timeoutMs);
  const uploads = await uploadsOf(body, kind, incoming.headers["content-type"] ?? "");
  checkCount(uploads, options, format !== null);
  const measured: MeasuredUpload[] = [];
  for (const upload of uploads) measured.push(await measure(upload, options.maxPixels));
  const asks = measured.map((upload) => ({ ...upload, score: asked.score }));
  const found = await batcher.add(asks, life.signal);
  const timing = serverTiming(receive, found);
  let response: Response;
  if (format !== null) {
    const objects = objectsOf(found[0] as Found, asked);
    response = await drawn(services, uploads[0] as Upload, objects, format, life.signal);
  } else {
    const results = found.map((one, i) => resultOf((uploads[i] as Upload).name, one, asked, receive));
    response = Response.json(kind === "picture" ? results[0] : { results });
  }
  response.headers.set("server-timing", timing);
  return response;
}

/** What a failure is for its client; what only the server's keepers should see goes to `warn`. */
export function problemOf(error: unknown, warn: (message: string) => void): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ClientGone) return new Problem("slow-request", error.message);
  warn(error instanceof EngineError ? error.message : ((error as Error).stack ?? String(error)));
  return new Problem("failed", "the server could not look at this picture; its log says why");
}
