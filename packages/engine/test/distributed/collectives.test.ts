import { describe, expect, test } from "vitest";
import { startRanks, wordsOf } from "./ranks.js";

async function both(scenario: string, env: Record<string, string> = {}, worldSize = 2) {
  const ranks = await startRanks(scenario, worldSize, env);
  const ended = await Promise.all(ranks.map((rank) => rank.ended));
  for (const { code, errors } of ended)
    expect({ code, errors: code === 0 ? "" : errors }).toEqual({ code: 0, errors: "" });
  return ended.map(wordsOf);
}

describe("two processes", () => {
  const dtypes = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16"];

  test("all-reduce, broadcast and all-gather in every dtype", async () => {
    const words = await both("values", { TEST_DTYPES: JSON.stringify(dtypes) });
    expect(words.map(({ is }) => is)).toEqual([
      [0, 2, 0, "gloo", 20],
      [1, 2, 1, "gloo", 20],
    ]);
    for (const dtype of dtypes) {
      const expected = {
        sum: [3, 30, -1],
        max: [2, 20, 0],
        min: [1, 10, -1],
        ...(dtype.includes("float") ? { mean: [1.5, 15, -0.5] } : {}),
        broadcast: [2, 20, -1],
        gather: [
          [1, 10, 0],
          [2, 20, -1],
        ],
        dtypes: [dtype, dtype, dtype],
      };
      for (const said of words) expect({ [dtype]: said[dtype] }).toEqual({ [dtype]: expected });
    }
  });

  test("strided, scalar, empty, boolean, inference and expanded tensors", async () => {
    for (const said of await both("shapes")) {
      expect(said.strided).toEqual([
        [2, 8],
        [4, 10],
        [6, 12],
      ]);
      expect(said.base).toEqual([
        [2, 4, 6],
        [8, 10, 12],
      ]);
      expect(said.view).toEqual([
        [1, 1],
        [1, 1],
      ]);
      expect(said).toMatchObject({ scalar: 2, empty: [0, 3] });
      expect(said.first).toEqual([
        [0, 0],
        [0, 0],
        [0, 0],
      ]);
      expect(said.second).toEqual(said.strided);
      expect([said.any, said.all, said.other].map((list) => (list as unknown[]).map(Number))).toEqual([
        [1, 1, 0],
        [0, 1, 0],
        [1],
      ]);
      expect(said.frozen).toEqual([
        [2, 2],
        [2, 2],
        [2, 2],
      ]);
      expect(said.fromFrozen).toEqual(said.frozen);
      expect(said.expanded).toMatchObject({ code: "BAD_ARGUMENT" });
    }
  });

  test("many tensors in few messages, and a data-parallel gradient", async () => {
    for (const said of await both("coalesced")) {
      const [a, b, c, d, e, f] = said.mixed as number[][];
      expect(a).toEqual([1.5, 1.5, 1.5]);
      expect(b).toEqual([
        [3, 3],
        [3, 3],
      ]);
      expect([c, d]).toEqual([4.5, []]);
      expect((e as unknown[]).flat(2)).toEqual(Array(10).fill(7.5));
      expect(f).toEqual(Array(300).fill(9));
      expect(said.state).toEqual([
        [1, 1],
        [1, 1, 1],
      ]);
      expect(said.gradient).toEqual([1.5, 1.5, 1.5]);
      expect(said.leaf).toEqual([[2, 2, 2], true]);
    }
  });

  test("calls are carried out in order, waiting or not; a tensor freed meanwhile still travels", async () => {
    for (const said of await both("order")) {
      // Ten doublings by "sum", then one more.
      expect(said.x).toBe(2 ** 11);
      expect(said.y).toEqual([1, 1]);
      expect(said.results).toEqual([
        [1, 1],
        [1, 1],
      ]);
      expect(said.afterFree).toEqual([1, 2]);
    }
  });

  test("a backward pass notices that a collective has overwritten what it needs", async () => {
    for (const said of await both("stale")) {
      expect(said.stale).toMatchObject({
        message: expect.stringMatching(/modified by an inplace operation/),
      });
    }
  });

  test("five groups in turn on one port", async () => {
    for (const said of await both("sequence")) expect(said.got).toEqual([1, 3, 5, 7, 9]);
  });
});

describe("other numbers of processes", () => {
  test("one", async () => {
    const [said] = await both("sequence", {}, 1);
    expect(said?.got).toEqual([0, 1, 2, 3, 4]);
  });

  test("three", async () => {
    for (const said of await both("sequence", {}, 3)) expect(said.got).toEqual([3, 6, 9, 12, 15]);
  });
});
