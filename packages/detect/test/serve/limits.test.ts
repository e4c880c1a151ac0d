// Clients that are slow, greedy, torn off or gone. Times are limits of the server's that tests wait for; none is measured.
import { request } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { startServer } from "../../src/serve/index.js";
import {
  FakeModel,
  head,
  idleReader,
  metric,
  picture,
  post,
  rawClient,
  serverOf,
  stopServers,
  until,
} from "./help.js";

afterEach(stopServers);

const requests = 'sepc_http_requests_total{route="/v1/detect",status=';

describe("when there is too much", () => {
  test("429 with Retry-After; what was accepted is answered", async () => {
    const model = new FakeModel(true);
    const server = await serverOf(model, { queue: 2, maxBatch: 1 });
    const bytes = await picture();
    const first = post(server, bytes);
    const { release } = await model.called(1);
    const waiting = [post(server, bytes), post(server, bytes)];
    await until(async () => (await metric(server, "sepc_queue_length")) === 2);
    const refused = await post(server, bytes);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    release();
    for (const count of [2, 3]) (await model.called(count)).release();
    const statuses = (await Promise.all([first, ...waiting])).map(({ status }) => status);
    expect(statuses).toEqual([200, 200, 200]);
  });

  test("bodies together hold no more memory than they may", async () => {
    const server = await serverOf(new FakeModel(), { heldBytes: 50_000, maxBytes: 40_000 });
    const slow = rawClient(server);
    slow.send(head(["content-length: 40000"]));
    slow.send(new Uint8Array(39_000));
    await until(async () => (await metric(server, "sepc_held_bytes")) === 39_000);
    expect((await post(server, new Uint8Array(30_000))).status).toBe(429);
    slow.socket.destroy();
    await until(async () => (await metric(server, "sepc_held_bytes")) === 0);
    expect((await post(server, await picture())).status).toBe(200);
  });

  test("connections beyond the limit are dropped, and others go on", async () => {
    const server = await serverOf(new FakeModel(), { connections: 2 });
    const [first, second] = [rawClient(server), rawClient(server)];
    for (const { socket } of [first, second]) await new Promise((resolve) => socket.on("connect", resolve));
    expect(await rawClient(server).closed).toBe("");
    second.socket.destroy();
    await second.closed;
    const dropped = 'sepc_dropped_connections_total{reason="too many connections"}';
    await until(async () => (await metric(server, dropped).catch(() => 0)) >= 1);
    const bytes = await picture();
    first.send(head([`content-length: ${bytes.length}`, "connection: close"]));
    first.send(bytes);
    expect(await first.closed).toContain("HTTP/1.1 200 ");
  });

  test("a body that grows without saying how far is refused on the way", async () => {
    const server = await serverOf(new FakeModel(), { maxBytes: 10_000 });
    const client = rawClient(server);
    client.send(head(["transfer-encoding: chunked"]));
    const timer = setInterval(() => client.send(`1000\r\n${"x".repeat(4096)}\r\n`), 5);
    const answer = await client.closed.finally(() => clearInterval(timer));
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });

  test("a client that asks before it sends is refused before it sends", async () => {
    const server = await serverOf(new FakeModel(), { maxBytes: 10_000 });
    const large = rawClient(server);
    large.send(head(["content-length: 20000", "expect: 100-continue"]));
    await until(() => large.text().includes("\r\n\r\n"));
    expect(large.text()).toMatch(/^HTTP\/1.1 413 /);
    const small = rawClient(server);
    const bytes = await picture();
    small.send(head([`content-length: ${bytes.length}`, "expect: 100-continue", "connection: close"]));
    await until(() => small.text().includes("100 Continue"));
    small.send(bytes);
    expect(await small.closed).toContain("HTTP/1.1 200 ");
  });
});

describe("when it takes too long", () => {
  test("504, and the picture leaves the queue", async () => {
    const model = new FakeModel(true);
    const server = await serverOf(model, { timeoutMs: 2000, maxBatch: 1 });
    const first = post(server, await picture());
    const { release } = await model.called(1);
    const second = post(server, await picture());
    const answers = await Promise.all([first, second]);
    expect(answers.map(({ status }) => status)).toEqual([504, 504]);
    expect(await answers[0]?.json()).toMatchObject({ type: "urn:sepc:problem:timed-out" });
    expect(await metric(server, "sepc_queue_length")).toBe(0);
    release();
    expect(await metric(server, 'sepc_pictures_total{outcome="timed out"}')).toBe(2);
  });

  test("408 for a body that pauses, and for one that trickles past the timeout", async () => {
    const server = await serverOf(new FakeModel(), { pauseMs: 150, timeoutMs: 600 });
    const [pausing, trickling] = [rawClient(server), rawClient(server)];
    for (const client of [pausing, trickling]) client.send(head(["content-length: 1000"]));
    pausing.send("x");
    const timer = setInterval(() => trickling.send("x"), 20);
    const answers = await Promise.all([pausing.closed, trickling.closed]).finally(() => clearInterval(timer));
    expect(answers[0]).toMatch(/^HTTP\/1.1 408 [\s\S]*next piece/);
    expect(answers[1]).toMatch(/^HTTP\/1.1 408 [\s\S]*(whole body|next piece)/);
  });

  test("connections that send no head are closed", async () => {
    const server = await serverOf(new FakeModel(), { headMs: 200 });
    const [silent, slow] = [rawClient(server), rawClient(server)];
    slow.send("POST /v1/detect HTTP/1.1\r\nhost: x\r\n");
    const answers = await Promise.all([silent.closed, slow.closed]);
    expect(answers[1]).toMatch(/^HTTP\/1.1 408 /);
    expect((await post(server, await picture())).status).toBe(200);
  });

  test("a client that does not take its answer is cut off", async () => {
    const server = await serverOf(new FakeModel(false, undefined, 1000), { writeMs: 300 });
    const client = await idleReader(server);
    await until(
      async () => (await metric(server, 'sepc_dropped_connections_total{reason="slow reader"}')) === 1,
    );
    await until(async () => (await metric(server, "sepc_requests_in_progress")) === 1);
    client.socket.destroy();
  });

  test("a network that does not come back makes the server unwell", async () => {
    const model = new FakeModel(true);
    const server = await serverOf(model, { timeoutMs: 500, stuckMs: 0 });
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect((await post(server, await picture())).status).toBe(504);
    await until(async () => (await fetch(`${server.url}/healthz`)).status === 503);
    model.calls[0]?.release();
    await until(async () => (await fetch(`${server.url}/healthz`)).status === 200);
  });
});

describe("when clients go away", () => {
  test("those in the queue leave it", async () => {
    const model = new FakeModel(true);
    const server = await serverOf(model, { maxBatch: 1 });
    const first = post(server, await picture());
    const { release } = await model.called(1);
    const gone = new AbortController();
    const second = post(server, await picture(), { signal: gone.signal }).catch(() => "gone");
    await until(async () => (await metric(server, "sepc_queue_length")) === 1);
    gone.abort();
    expect(await second).toBe("gone");
    await until(async () => (await metric(server, "sepc_queue_length")) === 0);
    release();
    expect((await first).status).toBe(200);
    expect(model.calls).toHaveLength(1);
    expect(await metric(server, `${requests}"499"}`)).toBe(1);
  });

  test("in the middle of a body, leaving nothing behind", async () => {
    const server = await serverOf(new FakeModel(), { writeMs: 100 });
    for (const length of [0, 10, 5000]) {
      const client = rawClient(server);
      client.send(head(["content-length: 10000"]));
      client.send(new Uint8Array(length));
      await until(async () => (await metric(server, "sepc_held_bytes")) === length);
      client.socket.destroy();
      await until(async () => (await metric(server, "sepc_held_bytes")) === 0);
    }
    await until(async () => (await metric(server, `${requests}"499"}`)) === 3);
    // Timers of answers that nobody waits for would keep the bodies.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await metric(server, 'sepc_dropped_connections_total{reason="slow reader"}')).toBe(0);
    expect(await metric(server, "sepc_pictures_accepted_total")).toBe(0);
  });

  test("bytes that are no HTTP end their connection alone", async () => {
    const server = await serverOf(new FakeModel());
    const client = rawClient(server);
    client.send("\x16\x03\x01 hello\r\n\r\n");
    expect(await client.closed).toMatch(/^HTTP\/1.1 400 /);
    for (const path of ["//", "/%", "/v1/detect?score=%", "/\\", "*"]) {
      const odd = rawClient(server);
      odd.send(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      expect(await odd.closed).toMatch(/^HTTP\/1.1 4\d\d /);
    }
    expect((await post(server, await picture())).status).toBe(200);
  });

  test("an early refusal reaches a client that is still sending", async () => {
    const server = await serverOf(new FakeModel());
    const status = await new Promise((resolve, reject) => {
      const sending = request(`${server.url}/v1/detect`, { method: "POST" }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      sending.setHeader("content-type", "application/json");
      sending.on("error", reject);
      sending.end(Buffer.alloc(3_000_000));
    });
    expect(status).toBe(415);
  });
});

test("an address that is taken is told as such", async () => {
  const { port } = await serverOf(new FakeModel());
  await expect(startServer(new FakeModel(), { port })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port}: another program has it`,
  );
});
