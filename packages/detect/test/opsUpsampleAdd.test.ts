import { gradcheck, gradgradcheck, randn, scope, type Tensor, tensorOp, zeros } from "@sepc/engine";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { upsampleAdd } from "../src/ops/upsampleAdd.js";
import { channelsLast, difference } from "./opsCompare.js";

const upsample = tensorOp("aten::upsample_bilinear2d");

describe("upsample and add", () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }));

  test("is libtorch's upsampling and sum, in any layout", () => {
    fc.assert(
      fc.property(sizes, sizes, fc.boolean(), ([h, w], [height, width], last) =>
        scope(() => {
          const [base, coarse] = [randn([2, 3, height, width]), randn([2, 3, h, w])];
          const want = base.add(upsample(coarse, [height, width], true));
          expect(difference(upsampleAdd(last ? channelsLast(base) : base, coarse), want)).toBeLessThan(1e-5);
        }),
      ),
      { numRuns: 40, seed: 7 },
    );
  });

  test.each([
    [
      [5, 7],
      [3, 4],
    ],
    [
      [1, 1],
      [1, 1],
    ],
    [
      [4, 1],
      [2, 1],
    ],
    [
      [3, 3],
      [5, 4],
    ],
  ])("has the gradients that differences give: %s from %s", (to, from) => {
    scope(() => {
      const base = randn([1, 2, ...to], { dtype: "float64" });
      const coarse = randn([1, 2, ...from], { dtype: "float64" });
      base.requiresGrad = true;
      coarse.requiresGrad = true;
      const fn = (a: Tensor, b: Tensor): Tensor => upsampleAdd(a, b);
      gradcheck(fn as never, [base, coarse]);
      gradgradcheck(((a: Tensor, b: Tensor) => upsampleAdd(a, b).pow(2)) as never, [base, coarse]);
    });
  });

  test("refuses maps that do not fit", () => {
    scope(() => {
      expect(() => upsampleAdd(zeros([1, 2, 4, 4]), zeros([1, 3, 2, 2]))).toThrow(
        /equal images and channels/,
      );
      expect(() => upsampleAdd(zeros([1, 2, 4, 4]), zeros([1, 2, 0, 2]))).toThrow(/non-empty small map/);
      expect(() => upsampleAdd(zeros([2, 4, 4]), zeros([2, 2, 2]))).toThrow(/expected base \[N, C, H, W\]/);
      expect(upsampleAdd(zeros([0, 2, 4, 4]), zeros([0, 2, 2, 2])).shape).toEqual([0, 2, 4, 4]);
    });
  });
});
