import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { loadModel } from "../../src/serve/index.js";
import { picture, post, serverOf, stopServers, until } from "./help.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-serve-"));
const path = join(folder, "model");
afterEach(stopServers);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a model's thread that ends by itself", () => {
  test("is started again; only the picture to blame goes without an answer", async () => {
    writeFileSync(path, "");
    const losses: (Error | null)[] = [];
    const model = await loadModel({ path }, (error) => losses.push(error), "../../test/serve/dyingThread");
    const server = await serverOf(model, { maxBatch: 3, maxWaitMs: 10_000 });
    const bytes = await Promise.all([10, 13, 20].map((width) => picture(width)));
    const answers = await Promise.all(bytes.map((one) => post(server, one)));
    expect(answers.map(({ status }) => status)).toEqual([200, 500, 200]);
    expect(losses).toEqual([null, null]);
    await until(async () => (await fetch(`${server.url}/readyz`)).status === 200);
  });

  test("and cannot be started again: its keeper is told", async () => {
    writeFileSync(path, "");
    let lose: (error: Error) => void = () => {};
    const lost = new Promise<Error>((resolve) => {
      lose = resolve;
    });
    const onLoss = (error: Error | null): void => {
      if (error === null) rmSync(path);
      else lose(error);
    };
    const model = await loadModel({ path }, onLoss, "../../test/serve/dyingThread");
    const call = model.detectAll([{ data: new Uint8Array(39), width: 13, height: 1 }], {});
    await expect(call).rejects.toThrow("died");
    expect((await lost).message).toContain("it is gone");
    expect(model.isReady).toBe(false);
    await model.close();
  });
});

test("a model that cannot be loaded is named", async () => {
  const missing = join(folder, "missing.onnx");
  await expect(loadModel({ path: missing }, () => {})).rejects.toThrow(
    /missing\.onnx: there is no such file/,
  );
});
