import { createHash } from "node:crypto";
import sharp from "sharp";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Body, FakeModel, metric, picture, post, serverOf, stopServers } from "./help.js";

afterEach(stopServers);

interface Operation {
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: Json }>> }>
  >;
}
type Json = { readonly [key: string]: unknown };
interface Description {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>> };
}

/** A copy with references put in place. */
function inlined(value: unknown, { components }: Description): unknown {
  if (Array.isArray(value)) return value.map((one) => inlined(one, { components } as Description));
  if (typeof value !== "object" || value === null) return value;
  const { $ref } = value as { $ref?: string };
  if ($ref !== undefined) {
    const name = $ref.replace("#/components/schemas/", "");
    const found = components.schemas[name];
    if (found === undefined) throw new Error(`the description refers to ${$ref}, which it lacks`);
    return inlined(found, { components } as Description);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, inlined(one, { components } as Description)]),
  );
}

/** Checks an answer's status, type and body against the description; gives the body. */
async function described(
  description: Description,
  method: string,
  path: string,
  answer: Response,
): Promise<unknown> {
  const operation = description.paths[path]?.[method];
  const response = operation?.responses[String(answer.status)];
  expect(response, `${method} ${path} ${answer.status} is described`).toBeDefined();
  const type = (answer.headers.get("content-type") ?? "").split(";")[0] as string;
  const content = response?.content[type];
  expect(content, `${method} ${path} ${answer.status} as ${type} is described`).toBeDefined();
  if (!type.endsWith("json")) return await answer.arrayBuffer();
  const body: unknown = await answer.json();
  const schema = z.fromJSONSchema(inlined(content?.schema, description) as z.core.JSONSchema.JSONSchema);
  const parsed = schema.safeParse(body);
  expect(
    parsed.success,
    parsed.success ? "" : `${z.prettifyError(parsed.error)} in ${JSON.stringify(body)}`,
  ).toBe(true);
  return body;
}

const descriptionOf = async ({ url }: { url: string }): Promise<Description> =>
  (await (await fetch(`${url}/openapi.json`)).json()) as Description;

describe("POST /v1/detect", () => {
  test("a picture as the body: objects by name, in COCO's boxes", async () => {
    const server = await serverOf(new FakeModel());
    const answer = await post(server, await picture(40, 20));
    const body = await described(await descriptionOf(server), "post", "/v1/detect", answer);
    expect(body).toMatchObject({
      name: "picture",
      image: { width: 40, height: 20 },
      objects: [
        {
          label: "cell",
          category_id: 1,
          score: 0.9,
          bbox: [0, 0, 20, 10],
          box: { x: 0, y: 0, width: 20, height: 10 },
        },
      ],
      batch_size: 1,
    });
    expect(answer.headers.get("server-timing")).toMatch(/decode;dur=.*infer;dur=/);
  });

  test("several as multipart, in their order", async () => {
    const server = await serverOf(new FakeModel());
    const form = new FormData();
    form.append("pictures", new Blob([await picture(30, 10)]), "wide.png");
    form.append("pictures", new Blob([await picture(10, 30, "jpeg")]), "tall.jpg");
    const answer = await post(server, form, { type: "" });
    const body = await described(await descriptionOf(server), "post", "/v1/detect", answer);
    expect(body).toMatchObject({
      results: [
        { name: "wide.png", image: { width: 30, height: 10 } },
        { name: "tall.jpg", image: { width: 10, height: 30 } },
      ],
    });
  });

  test.each([
    ["?score=0.1", ["cell", "dot"]],
    ["?score=0.1&max=1", ["cell"]],
    ["?score=0.1&classes=dot", ["dot"]],
    ["?score=0.1&classes=2", ["dot"]],
    ["?score=0.1&classes=dot,cell", ["cell", "dot"]],
    ["?score=0.1&classes=dot&max=1", ["dot"]],
    ["?score=0.95", []],
  ])("%s", async (query, labels) => {
    const server = await serverOf(new FakeModel());
    const body = (await (await post(server, await picture(), { query })).json()) as {
      objects: { label: string }[];
    };
    expect(body.objects.map(({ label }) => label)).toEqual(labels);
  });

  test.each([
    ["?draw=1", {}, "jpeg"],
    ["", { accept: "image/jpeg" }, "jpeg"],
    ["", { accept: "image/png;q=0.9, application/json;q=0.1" }, "png"],
  ])("drawn: %s %j", async (query, headers, format) => {
    const server = await serverOf(new FakeModel());
    const answer = await post(server, await picture(80, 60), { query, headers });
    const body = await described(await descriptionOf(server), "post", "/v1/detect", answer);
    const drawn = sharp(Buffer.from(body as ArrayBuffer));
    expect(await drawn.metadata()).toMatchObject({ format, width: 80, height: 60 });
    const { channels } = await drawn.stats();
    // The picture is red alone; boxes and letters are not.
    expect(Math.max(...channels.slice(1).map(({ max }) => max))).toBeGreaterThan(60);
  });

  test("formats the decoder knows but a server should not read are refused", async () => {
    const server = await serverOf(new FakeModel());
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>';
    expect((await post(server, svg, { type: "image/svg+xml" })).status).toBe(415);
  });
});

describe("problems", () => {
  const cases: [string, number, RegExp, () => Promise<Body>, Parameters<typeof post>[2]?][] = [
    ["an unknown parameter", 400, /unknown parameter "scor"/, picture, { query: "?scor=1" }],
    ["a score that is none", 400, /from 0.05 to 1, got "much"/, picture, { query: "?score=much" }],
    ["a score below the least", 400, /from 0.05 to 1, got "0"/, picture, { query: "?score=0" }],
    ["a class that is not there", 400, /no class "car".*cell,dot/, picture, { query: "?classes=car" }],
    ["no multipart", 400, /boundary/, async () => "x", { type: "multipart/form-data" }],
    [
      "a multipart body without its end",
      400,
      /boundary/,
      async () => '--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nxyz',
      { type: "multipart/form-data; boundary=b" },
    ],
    ["too many bytes", 413, /at most 0.1 MB/, async () => new Uint8Array(100_001)],
    ["too many pixels", 413, /2000x1000 pixels.*at most 1 million/, () => picture(2000, 1000)],
    ["JSON", 415, /application\/json: expected image/, async () => "{}", { type: "application/json" }],
    ["text that says it is a picture", 415, /by its first bytes/, async () => "hello"],
    ["nothing", 415, /got nothing/, async () => ""],
    ["a picture that ends early", 422, /picture: /, async () => (await picture(300, 300)).subarray(0, -40)],
    ["a picture with only a beginning", 422, /picture: /, async () => (await picture()).subarray(0, 12)],
  ];
  test.each(cases)("%s: %i", async (_, status, detail, body, more) => {
    const server = await serverOf(new FakeModel(), { maxBytes: 1e5, maxPixels: 1e6 });
    const answer = await post(server, await body(), more);
    expect(answer.status).toBe(status);
    const problem = await described(await descriptionOf(server), "post", "/v1/detect", answer);
    expect(problem).toMatchObject({ status, detail: expect.stringMatching(detail) });
    // It goes on working.
    expect((await post(server, await picture())).status).toBe(200);
    expect(await metric(server, "sepc_held_bytes")).toBe(0);
  });

  test("one of several pictures: named, and none is answered", async () => {
    const server = await serverOf(new FakeModel());
    const form = new FormData();
    form.append("a", new Blob([await picture()]), "good.png");
    form.append("b", new Blob([(await picture(300, 300)).subarray(0, -40)]), "torn.png");
    const answer = await post(server, form, { type: "" });
    expect([answer.status, await answer.json()]).toMatchObject([
      422,
      { detail: expect.stringContaining("torn.png") },
    ]);
  });

  test("more pictures than the queue holds, drawn or not", async () => {
    const server = await serverOf(new FakeModel(), { queue: 2 });
    const form = new FormData();
    for (const name of ["a", "b", "c"]) form.append(name, new Blob([await picture()]), name);
    expect((await post(server, form, { type: "" })).status).toBe(413);
    form.delete("c");
    expect((await post(server, form, { type: "" })).status).toBe(200);
    expect((await post(server, form, { type: "", query: "?draw=1" })).status).toBe(400);
  });

  test("a failing network is told without its innards, and its keepers are told more", async () => {
    const warned: string[] = [];
    const model = new FakeModel(false, () => {
      throw new Error("secret path");
    });
    const server = await serverOf(model, { warn: (message) => void warned.push(message) });
    const answer = await post(server, await picture());
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain("secret");
    expect(warned.join()).toContain("secret path");
  });

  test("wrong addresses and methods", async () => {
    const { url } = await serverOf(new FakeModel());
    expect((await fetch(`${url}/v2/detect`)).status).toBe(404);
    const wrong = await fetch(`${url}/v1/detect`, { method: "PUT" });
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await fetch(`${url}/healthz`, { method: "DELETE" })).status).toBe(405);
    expect((await fetch(`${url}/healthz`, { method: "HEAD" })).status).toBe(200);
  });
});

describe("the other addresses", () => {
  test("are as described, and all are described", async () => {
    const model = new FakeModel();
    const server = await serverOf(model);
    const description = await descriptionOf(server);
    expect(description.openapi).toBe("3.1.0");
    for (const path of Object.keys(description.paths).filter((one) => one !== "/v1/detect")) {
      const answer = await fetch(`${server.url}${path}`);
      expect(answer.status, path).toBe(200);
      await described(description, "get", path, answer);
    }
    model.isReady = false;
    const answer = await fetch(`${server.url}/readyz`);
    expect(answer.status).toBe(503);
    await described(description, "get", "/readyz", answer);
  });

  test("metrics are Prometheus's text", async () => {
    const server = await serverOf(new FakeModel());
    await post(server, await picture());
    await post(server, "x");
    const text = await (await fetch(`${server.url}/metrics`)).text();
    for (const line of text.trimEnd().split("\n"))
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? -?[\d.e+-]+)$/);
    for (const part of [
      'sepc_http_requests_total{route="/v1/detect",status="200"} 1',
      'sepc_http_requests_total{route="/v1/detect",status="415"} 1',
      "sepc_pictures_accepted_total 1",
      'sepc_pictures_total{outcome="done"} 1',
      'sepc_batch_size_bucket{le="1"} 1',
      'sepc_stage_seconds_count{stage="infer"} 1',
      'sepc_model_info{model="fake"} 1',
    ])
      expect(text).toContain(`${part}\n`);
  });

  test("the page loads nothing from elsewhere, and its policy lets its own parts run", async () => {
    const { url } = await serverOf(new FakeModel());
    const answer = await fetch(url);
    const [html, policy] = [await answer.text(), answer.headers.get("content-security-policy") ?? ""];
    expect(html).not.toMatch(/(src|href)="(https?:)?\/\//);
    for (const tag of ["script", "style"]) {
      const text = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(html)?.[1] ?? "";
      expect(policy).toContain(createHash("sha256").update(text).digest("base64"));
      if (tag === "script") expect(() => new Function(text)).not.toThrow();
    }
  });
});
