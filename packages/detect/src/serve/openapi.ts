import { z } from "zod";
import { mostObjects, type ServeOptions, usualObjects } from "./options.js";
import { type ProblemKind, problemKinds } from "./problem.js";
import { schemas } from "./schemas.js";

type Json = Readonly<Record<string, unknown>>;

const ref = (name: keyof typeof schemas): Json => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: Json): Json => ({ "application/json": { schema } });
const text = (type: string): Json => ({ [type]: { schema: { type: "string" } } });
const file: Json = { type: "string", contentMediaType: "application/octet-stream" };

/** Answers of one status are described together: several kinds may share it. */
function problems(kinds: readonly ProblemKind[]): Json {
  const byStatus = new Map<number, ProblemKind[]>();
  for (const kind of kinds) {
    const [status] = problemKinds[kind];
    byStatus.set(status, [...(byStatus.get(status) ?? []), kind]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, own]) => [
      String(status),
      {
        description: own.map((kind) => problemKinds[kind][1]).join("; "),
        ...(status === 429
          ? { headers: { "Retry-After": { description: "Seconds", schema: { type: "integer" } } } }
          : {}),
        content: { "application/problem+json": { schema: ref("Problem") } },
      },
    ]),
  );
}

function parameters({ score, leastScore }: ServeOptions, classes: readonly string[]): Json[] {
  const query = (name: string, description: string, schema: Json): Json => ({
    name,
    in: "query",
    description,
    schema,
  });
  return [
    query("score", "Least score of objects", {
      type: "number",
      minimum: leastScore,
      maximum: 1,
      default: score,
    }),
    query("max", "Most objects of a picture", {
      type: "integer",
      minimum: 1,
      maximum: mostObjects,
      default: usualObjects,
    }),
    query("classes", "Names or category ids with commas between them; all unless told", {
      type: "string",
      example: classes.slice(0, 2).join(","),
    }),
    query("draw", "1: the answer is the picture with boxes drawn on it, as Accept: image/jpeg asks too", {
      type: "string",
      enum: ["0", "1", "true", "false"],
      default: "0",
    }),
  ];
}

function detectOperation(options: ServeOptions, classes: readonly string[]): Json {
  return {
    operationId: "detect",
    summary: "Find objects in a picture, or in several",
    parameters: parameters(options, classes),
    requestBody: {
      required: true,
      content: {
        "image/*": { schema: file },
        "application/octet-stream": { schema: file },
        "multipart/form-data": {
          schema: { type: "object", additionalProperties: { anyOf: [file, { type: "array", items: file }] } },
        },
      },
    },
    responses: {
      "200": {
        description: "Result for a picture as the body, Results for a multipart body, or the drawn picture",
        content: {
          ...json({ anyOf: [ref("Result"), ref("Results")] }),
          "image/jpeg": { schema: file },
          "image/png": { schema: file },
        },
      },
      ...problems([
        ...(["bad-query", "bad-multipart", "slow-request", "too-large", "too-many-pixels"] as const),
        ...(["not-a-picture", "broken-picture", "queue-full", "failed", "stopping", "timed-out"] as const),
      ]),
    },
  };
}

const get = (operationId: string, summary: string, content: Json, more: Json = {}): Json => ({
  get: { operationId, summary, responses: { "200": { description: summary, content }, ...more } },
});

const health = (operationId: string, summary: string): Json =>
  get(operationId, summary, json(ref("Health")), {
    "503": { description: "It is not", content: json(ref("Health")) },
  });

/** The API in OpenAPI 3.1, with this server's limits and classes. */
export function openApi(version: string, options: ServeOptions, classes: readonly string[]): Json {
  return {
    openapi: "3.1.0",
    info: {
      title: "sepc serve",
      version,
      description: "Finds objects in pictures. Errors are problem details (RFC 9457).",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths: {
      "/v1/detect": { post: detectOperation(options, classes) },
      "/v1/model": get("model", "The model: classes, input, precision, limits", json(ref("Model"))),
      "/openapi.json": get("openapi", "This description", json({ type: "object" })),
      "/healthz": health("health", "Whether the process works; if not, start it anew"),
      "/readyz": health("ready", "Whether requests should come here"),
      "/metrics": get("metrics", "Prometheus's text format", text("text/plain")),
      "/": get("page", "A page to try it from a browser", text("text/html")),
    },
    components: {
      schemas: Object.fromEntries(
        Object.entries(schemas).map(([name, schema]) => {
          const { $schema: _, ...rest } = z.toJSONSchema(schema);
          return [name, rest];
        }),
      ),
    },
  };
}
