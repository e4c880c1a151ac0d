import { describe, expect, test } from "vitest";
import { type EngineError, keep, liveTensors, ones, scope, type Tensor, tensorOp } from "../src/index.js";

const add = tensorOp("aten::add.Tensor");
const made = (body: () => void): number => {
  const before = liveTensors().tensors;
  body();
  return liveTensors().tensors - before;
};

describe("scope", () => {
  test("frees what it made and moves its result outwards", () => {
    let inner: Tensor | undefined;
    const alive = made(() => {
      scope(() => {
        const result = scope(() => {
          inner = ones([2]);
          return { sum: add(inner, inner), list: [ones([1])], map: new Map([["a", ones([3])]]) };
        });
        expect(inner?.isFreed).toBe(true);
        expect(result.sum.tolist()).toEqual([2, 2]);
        expect(result.list[0]?.isFreed).toBe(false);
        expect(result.map.get("a")?.shape).toEqual([3]);
      });
    });
    expect(alive).toBe(0);
  });

  test("frees when the body throws, and lets the error through", () => {
    const alive = made(() => {
      expect(() =>
        scope(() => {
          ones([2]);
          throw new Error("mine");
        }),
      ).toThrow("mine");
    });
    expect(alive).toBe(0);
  });

  test("refuses a promise and still cleans up", async () => {
    let result: unknown;
    const alive = made(() => {
      try {
        scope(async () => ones([2]));
      } catch (error) {
        result = error;
      }
    });
    expect((result as EngineError).code).toBe("SCOPE_ASYNC");
    expect(alive).toBe(0);
  });

  test("keep takes a tensor out of all scopes", () => {
    const kept = scope(() => {
      const inside = scope(() => keep(ones([2])));
      scope(() => inside);
      return null;
    });
    expect(kept).toBeNull();
    const alive = made(() => {
      const x = scope(() => scope(() => keep(ones([4]))));
      expect(x.isFreed).toBe(false);
      x.free();
    });
    expect(alive).toBe(0);
  });

  test("a tensor freed early inside a scope is not freed twice", () => {
    expect(
      made(() =>
        scope(() => {
          const x = ones([2]);
          x.free();
          ones([3]);
        }),
      ),
    ).toBe(0);
  });

  test("a tensor from outside is left alone, even when the result", () => {
    const x = ones([2]);
    expect(scope(() => x)).toBe(x);
    scope(() => x);
    expect(x.tolist()).toEqual([1, 1]);
    x.free();
  });

  test("memory that handles hold is counted once for views", () => {
    const before = liveTensors().bytes;
    scope(() => {
      const x = ones([1024, 1024]);
      const view = tensorOp("aten::t")(x);
      expect(view.shape).toEqual([1024, 1024]);
      expect(liveTensors().bytes - before).toBe(4 * 1024 * 1024);
    });
    expect(liveTensors().bytes).toBe(before);
  });

  test("`using` frees at the end of the block", () => {
    const x = ones([1]);
    x[Symbol.dispose]();
    expect(x.isFreed).toBe(true);
  });

  test("unreachable tensors outside scopes are collected, because V8 is told how much memory they hold", async () => {
    const before = liveTensors().bytes;
    let most = 0;
    for (let i = 0; i < 400; i++) {
      ones([2 ** 21]); // 8 MiB, 3.2 GiB in all
      await new Promise((turn) => setImmediate(turn));
      most = Math.max(most, liveTensors().bytes - before);
    }
    expect(most).toBeLessThan(1.5 * 2 ** 30);
  });
});
