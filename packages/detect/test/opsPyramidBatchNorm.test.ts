import {
  backward,
  gradcheck,
  gradgradcheck,
  nn,
  randn,
  scope,
  type Tensor,
  tensor,
  tensorOp,
  zeros,
} from "@sepc/engine";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ownOp } from "../src/ops/library.js";
import { pyramidBatchNormRelu } from "../src/ops/pyramidBatchNorm.js";
import { channelsLast, difference, values } from "./opsCompare.js";

const fusedNorm = ownOp("pyramid_batch_norm_relu");

describe("integrated batch normalisation", () => {
  const cat = tensorOp("aten::cat");
  const sizes: fc.Arbitrary<[number, number][]> = fc.array(
    fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
    { minLength: 1, maxLength: 4 },
  );

  function pyramid(
    levels: readonly (readonly number[])[],
    dtype: "float32" | "float64" = "float32",
  ): Tensor[] {
    return levels.map((size) =>
      randn([2, 3, ...size], { dtype })
        .mul(2)
        .add(1),
    );
  }

  /** A batch normalisation of three channels with factors of its own. */
  function normOf(dtype: "float32" | "float64" = "float32", momentum: number | null = 0.1): nn.BatchNorm2d {
    const bn = new nn.BatchNorm2d({ numFeatures: 3, momentum, dtype });
    bn.weight?.tensor.detach().copy_(tensor([0.5, -1.5, 2]));
    bn.bias?.tensor.detach().copy_(tensor([0.3, 0.1, -0.2]));
    return bn;
  }

  /** The levels side by side through an ordinary batch normalisation, then ReLU. */
  function sideBySide(levels: readonly Tensor[], bn: nn.BatchNorm2d): Tensor[] {
    const flat = levels.map((level) => level.reshape([level.shape[0] as number, 3, 1, -1]));
    const all = bn.forward(cat(flat, 3)).relu();
    let start = 0;
    return levels.map((level, i) => {
      const cells = (flat[i] as Tensor).shape[3] as number;
      const part = all.narrow(3, start, cells).reshape(level.shape);
      start += cells;
      return part;
    });
  }

  test.each([
    ["contiguous", (x: Tensor) => x],
    ["channels-last", channelsLast],
    ["part of a wider map", (x: Tensor) => cat([x, x], 1).narrow(1, 0, 3)],
  ])("is batch normalisation of all levels side by side: %s levels", (_, layout) => {
    fc.assert(
      fc.property(sizes, fc.constantFrom(0.1, null), (shapes, momentum) =>
        scope(() => {
          const levels = pyramid(shapes);
          const [mine, theirs] = [true, false].map((fused) => {
            const bn = normOf("float32", momentum);
            const inputs = levels.map((level) => (fused ? layout(level) : level).clone().detach());
            const given = inputs.map((input) => (fused ? layout(input) : input));
            for (const input of inputs) input.requiresGrad = true;
            const maps = inputs.map((input, i) => (given[i] === input ? input : layout(input)));
            for (let pass = 0; pass < 2; pass++) {
              const out = fused ? pyramidBatchNormRelu(maps, bn) : sideBySide(maps, bn);
              backward(out.reduce<Tensor>((sum, map) => sum.add(map.mul(map).sum()), zeros([])));
              if (pass === 1) {
                const owned = [bn.weight, bn.bias].map((parameter) => parameter?.grad as Tensor);
                const running = [bn.runningMean, bn.runningVar].map((buffer) => buffer?.tensor as Tensor);
                return [...out, ...inputs.map(({ grad }) => grad as Tensor), ...owned, ...running];
              }
            }
            return [];
          }) as [Tensor[], Tensor[]];
          expect(mine.length).toBe(theirs.length);
          for (const [i, got] of mine.entries())
            expect(difference(got, theirs[i] as Tensor)).toBeLessThan(1e-4);
        }),
      ),
      { numRuns: 15, seed: 8 },
    );
  });

  test("has the gradients that differences give, first and second", () => {
    scope(() => {
      const bn = normOf("float64");
      const levels = pyramid(
        [
          [3, 2],
          [2, 2],
        ],
        "float64",
      );
      const tensors = [...levels, (bn.weight as nn.Parameter).tensor, (bn.bias as nn.Parameter).tensor];
      for (const part of tensors) part.requiresGrad = true;
      const fn = (...given: Tensor[]): Tensor[] =>
        fusedNorm(
          given.slice(0, 2),
          given[2] as Tensor,
          given[3] as Tensor,
          null,
          null,
          0.1,
          1e-5,
        ) as Tensor[];
      gradcheck(fn, tensors);
      gradgradcheck(fn, tensors, { maxElements: 10, atol: 1e-4 });
    });
  });

  test("gives gradients where only some levels were used", () => {
    scope(() => {
      const levels = pyramid(
        [
          [4, 4],
          [2, 2],
        ],
        "float64",
      );
      const [first] = levels as [Tensor, Tensor];
      const gradients = [true, false].map((fused) => {
        const bn = normOf("float64");
        const inputs = levels.map((level) => level.clone().detach());
        for (const input of inputs) input.requiresGrad = true;
        const [, second] = (fused ? pyramidBatchNormRelu(inputs, bn) : sideBySide(inputs, bn)) as [
          Tensor,
          Tensor,
        ];
        backward(second.pow(2).sum());
        return (inputs[0] as Tensor).grad as Tensor;
      }) as [Tensor, Tensor];
      expect(gradients[0].shape).toEqual(first.shape);
      expect(difference(...gradients)).toBeLessThan(1e-10);
    });
  });

  test("of maps far from zero keeps the digits that the type has", () => {
    scope(() => {
      const levels = pyramid(
        [
          [40, 40],
          [20, 20],
        ],
        "float64",
      ).map((level) => level.add(300));
      const want = sideBySide(levels, normOf("float64"));
      const narrow = levels.map((level) => level.to({ dtype: "float32" }));
      for (const [i, got] of pyramidBatchNormRelu(narrow, normOf()).entries())
        expect(difference(got.to({ dtype: "float64" }), want[i] as Tensor)).toBeLessThan(3e-4);
    });
  });

  test("computes bfloat16 in float32, keeps NaN, and takes a batch without factors", () => {
    scope(() => {
      const levels = pyramid([
        [5, 4],
        [3, 2],
      ]).map((level) => level.to({ dtype: "bfloat16" }));
      const want = sideBySide(
        levels.map((level) => level.to({ dtype: "float32" })),
        normOf(),
      );
      for (const [i, got] of pyramidBatchNormRelu(levels, normOf()).entries()) {
        expect(got.dtype).toBe("bfloat16");
        expect(difference(got.to({ dtype: "float32" }), want[i] as Tensor)).toBeLessThan(2e-2);
      }
      const plain = new nn.BatchNorm2d({ numFeatures: 3, affine: false, trackRunningStats: false });
      const [map] = pyramid([[4, 4]]) as [Tensor];
      map.select(1, 1).select(1, 0).select(1, 0).fill_(Number.NaN);
      const [got] = pyramidBatchNormRelu([map], plain) as [Tensor];
      expect(values(got.isnan().sum([0, 2, 3]).to({ dtype: "float32" }))).toEqual([0, 32, 0]);
    });
  });

  test("refuses what has no variance and what does not fit", () => {
    scope(() => {
      const bn = normOf();
      expect(() => pyramidBatchNormRelu([zeros([1, 3, 1, 1])], bn)).toThrow(/more than one value a channel/);
      expect(() => pyramidBatchNormRelu([], bn)).toThrow(/at least one level/);
      expect(() => pyramidBatchNormRelu([zeros([1, 3, 2, 2]), zeros([1, 4, 2, 2])], bn)).toThrow(
        /one number of channels/,
      );
      expect(() => pyramidBatchNormRelu([zeros([1, 4, 2, 2])], bn)).toThrow(
        /expected weight \[4\], got \[3\]/,
      );
      expect(() => pyramidBatchNormRelu([zeros([3, 2, 2])], bn)).toThrow(/expected levels \[N, C, H, W\]/);
    });
  });
});
