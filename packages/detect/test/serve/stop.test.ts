import { afterEach, describe, expect, test } from "vitest";
import {
  FakeModel,
  head,
  idleReader,
  picture,
  post,
  rawClient,
  serverOf,
  stopServers,
  until,
} from "./help.js";

afterEach(stopServers);

describe("stopping", () => {
  test("finishes what was accepted, refuses what is new, then closes", async () => {
    const model = new FakeModel(true);
    const server = await serverOf(model, { maxBatch: 1 });
    const bytes = await picture();
    const accepted = [post(server, bytes)];
    const { release } = await model.called(1);
    accepted.push(post(server, bytes), post(server, bytes, { query: "?draw=1" }));
    const uploading = rawClient(server);
    uploading.send(head([`content-length: ${bytes.length}`]));
    uploading.send(bytes.subarray(0, 20));
    await until(async () => /progress 5\n/.test(await (await fetch(`${server.url}/metrics`)).text()));

    const stopped = server.stop();
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    const refused = await post(server, bytes);
    expect([refused.status, refused.headers.get("connection")]).toEqual([503, "close"]);
    uploading.send(bytes.subarray(20));
    release();
    for (const count of [2, 3, 4]) (await model.called(count)).release();

    expect((await Promise.all(accepted)).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await uploading.closed).toMatch(/^HTTP\/1.1 200 /);
    expect(await stopped).toBe(0);
    expect(model.isClosed).toBe(true);
    await expect(fetch(server.url)).rejects.toThrow();
    expect(await server.stop()).toBe(0);
  });

  test("does not wait for idle or silent connections", async () => {
    const server = await serverOf(new FakeModel());
    const silent = rawClient(server);
    await new Promise((resolve) => silent.socket.on("connect", resolve));
    expect((await post(server, await picture())).status).toBe(200);
    expect(await server.stop()).toBe(0);
    await silent.closed;
  });

  test("cuts off what is not done within its bound, and says so", async () => {
    const server = await serverOf(new FakeModel(false, undefined, 1000), {
      timeoutMs: 2000,
      writeMs: 60_000,
    });
    const client = await idleReader(server);
    expect(await server.stop()).toBe(1);
    client.socket.destroy();
  });
});
