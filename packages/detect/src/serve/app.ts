import type { ServerResponse } from "node:http";
import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { accepts } from "hono/accepts";
import { detect, problemOf, type Services } from "./detectRoute.js";
import { openApi } from "./openapi.js";
import { mostObjects } from "./options.js";
import { page, pagePolicy } from "./page.js";
import { Problem } from "./problem.js";
import type { Model } from "./schemas.js";

type Env = { Bindings: HttpBindings };

/** What the routes ask of the server around them. */
export interface ServerView extends Services {
  readonly version: string;
  readonly isStopping: () => boolean;
  /** Told of each answer that is about to be sent. */
  readonly answering: (outgoing: ServerResponse) => void;
  readonly connections: () => number;
}

function modelAnswer({ model, options }: ServerView): Model {
  const { name, detector, classes, input, precision } = model.description;
  return {
    name,
    detector,
    classes: classes.map((label, i) => ({ category_id: i + 1, label })),
    input:
      input === null
        ? null
        : {
            scale: [...input.scale],
            size_divisor: input.sizeDivisor,
            mean: [...input.mean],
            std: [...input.std],
            channels: input.channels,
          },
    precision,
    limits: {
      max_bytes: options.maxBytes,
      max_pixels: options.maxPixels,
      max_pictures: options.queue,
      max_objects: mostObjects,
      least_score: options.leastScore,
      default_score: options.score,
    },
  };
}

const pictureTypes = { "image/jpeg": "jpeg", "image/png": "png", "application/json": null } as const;

function wantedType(context: Context<Env>): "jpeg" | "png" | null {
  const supports = Object.keys(pictureTypes);
  const type = accepts(context, { header: "Accept", supports, default: "application/json" });
  return pictureTypes[type as keyof typeof pictureTypes];
}

function health(status: string, isWell: boolean): Response {
  return Response.json({ status }, { status: isWell ? 200 : 503 });
}

function addHealth(app: Hono<Env>, view: ServerView): void {
  const { batcher, model, options, measures } = view;
  app.get("/healthz", () => {
    // A batch so much later than any request may be will not end by itself.
    const isStuck = batcher.busyMs > options.timeoutMs + options.stuckMs;
    return health(isStuck ? "a batch does not end" : "ok", !isStuck);
  });
  app.get("/readyz", () => {
    if (view.isStopping()) return health("stopping", false);
    return model.isReady ? health("ready", true) : health("the model is being loaded again", false);
  });
  app.get("/metrics", (context) =>
    context.body(
      measures.text({
        queueLength: () => batcher.length,
        queueLimit: options.queue,
        heldBytes: () => view.budget.held,
        connections: view.connections,
        model: model.description.name,
      }),
      200,
      { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    ),
  );
}

/** Known paths with a method that they lack. */
function addWrongMethods(app: Hono<Env>): void {
  for (const path of ["/", "/v1/model", "/openapi.json", "/healthz", "/readyz", "/metrics"])
    app.all(path, () => {
      throw new Problem("wrong-method", `${path}: expected GET`, { allow: "GET, HEAD" });
    });
  app.all("/v1/detect", () => {
    throw new Problem("wrong-method", "/v1/detect: expected POST, with a picture as the body", {
      allow: "POST",
    });
  });
}

/** All routes. */
export function createApp(view: ServerView): Hono<Env> {
  const app = new Hono<Env>();
  const description = openApi(view.version, view.options, view.model.description.classes);
  const model = modelAnswer(view);
  app.use(async (context, next) => {
    await next();
    context.res.headers.set("x-content-type-options", "nosniff");
    view.answering(context.env.outgoing);
  });
  app.post("/v1/detect", async (context) => {
    if (view.isStopping())
      throw new Problem("stopping", "expected no more requests here; ask another server", {
        "retry-after": "5",
      });
    const { incoming, outgoing } = context.env;
    const query = new URL(context.req.url).searchParams;
    return detect(view, { incoming, outgoing, query, accepts: wantedType(context) });
  });
  app.get("/v1/model", () => Response.json(model));
  app.get("/openapi.json", () => Response.json(description));
  app.get("/", (context) => context.html(page, 200, { "content-security-policy": pagePolicy }));
  addHealth(app, view);
  addWrongMethods(app);
  app.notFound((context) =>
    new Problem(
      "not-found",
      `${context.req.path}: expected POST /v1/detect, or GET /, /v1/model, /openapi.json, /healthz, /readyz, /metrics`,
    ).response(),
  );
  app.onError((error) => problemOf(error, view.options.warn).response());
  return app;
}
