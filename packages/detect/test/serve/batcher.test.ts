import type { RgbImage } from "@sepc/core";
import { describe, expect, test } from "vitest";
import { type Ask, Batcher, type BatcherOptions } from "../../src/serve/batcher.js";
import { Measures } from "../../src/serve/measures.js";
import { ClientGone, Problem } from "../../src/serve/problem.js";
import { type Call, FakeModel } from "./help.js";

/** One picture: its single byte is its width. */
const ask = (width: number, more: Partial<Ask> = {}): Ask => ({
  bytes: Uint8Array.of(width),
  pixels: 10,
  name: `p${width}`,
  score: 0.3,
  ...more,
});

const decoded = async (bytes: Uint8Array): Promise<RgbImage> => {
  const width = bytes[0] as number;
  if (width === 0) throw new Error("picture in memory: torn");
  return { data: new Uint8Array(3 * width), width, height: 1 };
};

const never = new AbortController().signal;
const patient = { maxBatch: 4, maxWaitMs: 1e6, queue: 10, maxPixels: 1000 };

function batcherOf(model: FakeModel, options: Partial<BatcherOptions> = {}, decode = decoded) {
  const measures = new Measures();
  const detectAll = model.detectAll.bind(model);
  return { measures, batcher: new Batcher(detectAll, decode, { ...patient, ...options }, measures) };
}

const outcomes = (measures: Measures): string[] => measures.pictures.lines();
const widths = ({ pictures }: Call): number[] => pictures.map(({ width }) => width);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a batch starts", () => {
  test("when it is full, in the order of arrival, and not before", async () => {
    const model = new FakeModel();
    const { batcher } = batcherOf(model);
    const first = [1, 2, 3].map((width) => batcher.add([ask(width)], never));
    for (let i = 0; i < 5; i++) await turn();
    expect(model.calls).toHaveLength(0);
    const found = await Promise.all([...first, batcher.add([ask(4)], never)]);
    expect(model.calls.map(widths)).toEqual([[1, 2, 3, 4]]);
    expect(found.map(([one]) => one?.width)).toEqual([1, 2, 3, 4]);
    expect(found.map(([one]) => one?.batchSize)).toEqual([4, 4, 4, 4]);
  });

  test("when its oldest picture has waited long enough", async () => {
    const model = new FakeModel();
    const { batcher } = batcherOf(model, { maxWaitMs: 30 });
    const [found] = await batcher.add([ask(1), ask(2)], never);
    expect(found?.batchSize).toBe(2);
  });

  test("when the one before it has ended, with what gathered meanwhile", async () => {
    const model = new FakeModel(true);
    const { batcher } = batcherOf(model, { maxWaitMs: 0 });
    const all = [batcher.add([ask(1)], never)];
    const { release } = await model.called(1);
    for (const width of [2, 3, 4, 5, 6]) all.push(batcher.add([ask(width)], never));
    for (let i = 0; i < 5; i++) await turn();
    expect(model.calls).toHaveLength(1);
    expect(batcher.length).toBe(5);
    release();
    (await model.called(2)).release();
    (await model.called(3)).release();
    await Promise.all(all);
    expect(model.calls.map(widths)).toEqual([[1], [2, 3, 4, 5], [6]]);
  });
});

describe("the queue", () => {
  test("refuses what it has no room for, all or none, and says when to come again", async () => {
    const model = new FakeModel(true);
    const { batcher, measures } = batcherOf(model, { queue: 2, maxBatch: 1, maxWaitMs: 0 });
    const all = [batcher.add([ask(1)], never)];
    const { release } = await model.called(1);
    all.push(batcher.add([ask(2)], never));
    const refused = await batcher.add([ask(3), ask(4)], never).catch((error: Problem) => error);
    expect(refused).toMatchObject({ kind: "queue-full", status: 429 });
    expect(Number((refused as Problem).headers["retry-after"])).toBeGreaterThanOrEqual(1);
    all.push(batcher.add([ask(5)], never));
    release();
    (await model.called(2)).release();
    (await model.called(3)).release();
    await Promise.all(all);
    expect(measures.accepted.lines()).toEqual(["sepc_pictures_accepted_total 3"]);
    expect(outcomes(measures)).toEqual(['sepc_pictures_total{outcome="done"} 3']);
  });

  test("is left by those whose client went or whose time is up, wherever they are", async () => {
    const model = new FakeModel(true);
    const { batcher, measures } = batcherOf(model, { maxWaitMs: 0 });
    const [running, waiting] = [new AbortController(), new AbortController()];
    const results = [
      batcher.add([ask(1)], running.signal),
      model.called(1).then(() => batcher.add([ask(2)], waiting.signal)),
    ].map((result) => result.catch((error: unknown) => error));
    const { release } = await model.called(1);
    await turn();
    waiting.abort(new ClientGone());
    running.abort(new Problem("timed-out", "late"));
    expect(await Promise.all(results)).toMatchObject([{ kind: "timed-out" }, { name: "ClientGone" }]);
    expect(batcher.length).toBe(0);
    release();
    const after = batcher.add([ask(3)], never);
    (await model.called(2)).release();
    await after;
    expect(model.calls.map(widths)).toEqual([[1], [3]]);
    expect(outcomes(measures).sort()).toEqual([
      'sepc_pictures_total{outcome="client gone"} 1',
      'sepc_pictures_total{outcome="done"} 1',
      'sepc_pictures_total{outcome="timed out"} 1',
    ]);
  });

  test("decodes no more ahead than two batches and two of the largest pictures", async () => {
    const model = new FakeModel(true);
    const decoding: number[] = [];
    const decode = (bytes: Uint8Array): Promise<RgbImage> => {
      decoding.push(bytes[0] as number);
      return decoded(bytes);
    };
    const options = { maxBatch: 1, maxWaitMs: 0, maxPixels: 100 };
    const { batcher } = batcherOf(model, options, decode);
    const all = [1, 2, 3, 4].map((width) => batcher.add([ask(width, { pixels: 100 })], never));
    await model.called(1);
    for (let i = 0; i < 5; i++) await turn();
    expect(decoding).toEqual([1, 2]);
    for (const count of [1, 2, 3, 4]) (await model.called(count)).release();
    await Promise.all(all);
    expect(decoding).toEqual([1, 2, 3, 4]);
  });
});

describe("failures", () => {
  test("a broken picture fails alone and is named", async () => {
    const model = new FakeModel();
    const { batcher } = batcherOf(model, { maxBatch: 2, maxWaitMs: 0 });
    const broken = batcher.add([ask(0)], never).catch((error: unknown) => error);
    expect(await batcher.add([ask(1)], never)).toHaveLength(1);
    expect(await broken).toMatchObject({ kind: "broken-picture", message: "p0: torn" });
    await expect(batcher.add([ask(2), ask(0), ask(3)], never)).rejects.toThrow("p0");
    expect(batcher.length).toBe(0);
  });

  test("what fails together is tried again alone, so that neighbours of the culprit are answered", async () => {
    const model = new FakeModel(false, (pictures) => {
      if (pictures.some(({ width }) => width === 2)) throw new Error("no memory");
    });
    const { batcher, measures } = batcherOf(model, { maxBatch: 3 });
    const all = [1, 2, 3].map((width) => batcher.add([ask(width)], never));
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    expect(model.calls.map(widths)).toEqual([[1, 2, 3], [1], [2], [3]]);
    expect(outcomes(measures).sort()).toEqual([
      'sepc_pictures_total{outcome="done"} 2',
      'sepc_pictures_total{outcome="failed"} 1',
    ]);
  });

  test("a batch asks for the least of its scores", async () => {
    const model = new FakeModel();
    const { batcher } = batcherOf(model, { maxBatch: 2 });
    await Promise.all([
      batcher.add([ask(1, { score: 0.7 })], never),
      batcher.add([ask(2, { score: 0.1 })], never),
    ]);
    expect(model.calls[0]?.options).toMatchObject({ scoreThreshold: 0.1 });
  });
});
