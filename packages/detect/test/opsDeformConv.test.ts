import {
  autocast,
  backward,
  Generator,
  gradcheck,
  gradgradcheck,
  ops,
  randn,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "@sepc/engine";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DeformConv2dOptions, deformConv2d } from "../src/ops/deformConv.js";
import { ownOp } from "../src/ops/library.js";
import { channelsLast, difference, values } from "./opsCompare.js";

const composite = ownOp("deform_conv2d_composite");

interface Shape {
  readonly images: number;
  readonly channels: number;
  readonly outChannels: number;
  readonly size: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
  readonly offsetGroups: number;
  readonly masked: boolean;
  readonly biased: boolean;
}

const small: Shape = {
  images: 1,
  channels: 2,
  outChannels: 2,
  size: [4, 5],
  kernel: [3, 3],
  stride: 1,
  padding: 1,
  dilation: 1,
  groups: 1,
  offsetGroups: 1,
  masked: false,
  biased: true,
};

interface Inputs {
  readonly input: Tensor;
  readonly weight: Tensor;
  readonly offset: Tensor;
  readonly options: DeformConv2dOptions;
}

function outSize({ size, kernel, stride, padding, dilation }: Shape): [number, number] {
  const along = (axis: 0 | 1): number =>
    Math.floor((size[axis] + 2 * padding - dilation * (kernel[axis] - 1) - 1) / stride) + 1;
  return [along(0), along(1)];
}

function inputs(shape: Shape, dtype: "float32" | "float64" = "float64", seed = 0, reach = 1): Inputs {
  const { images, channels, outChannels, size, kernel, groups, offsetGroups, masked, biased } = shape;
  const { stride, padding, dilation } = shape;
  const generator = new Generator(seed);
  const random = (...dims: number[]): Tensor => randn(dims, { generator, dtype });
  const samples = offsetGroups * kernel[0] * kernel[1];
  const [height, width] = outSize(shape);
  return {
    input: random(images, channels, ...size),
    weight: random(outChannels, channels / groups, ...kernel).mul(0.3),
    offset: random(images, 2 * samples, height, width).mul(reach),
    options: {
      mask: masked ? random(images, samples, height, width) : null,
      bias: biased ? random(outChannels) : null,
      stride,
      padding,
      dilation,
      groups,
      offsetGroups,
    },
  };
}

const run = ({ input, weight, offset, options }: Inputs): Tensor =>
  deformConv2d(input, weight, offset, options);

/** The same from libtorch's own operators. */
function runComposite({ input, weight, offset, options }: Inputs): Tensor {
  const { mask = null, bias = null, stride, padding, dilation, groups, offsetGroups } = options;
  const pairs = [stride, padding, dilation].map((value) => [value, value] as [number, number]);
  return composite(input, weight, offset, mask, bias, ...pairs, groups, offsetGroups) as Tensor;
}

const parts = ({ input, weight, offset, options }: Inputs): Tensor[] =>
  [input, weight, offset, options.mask, options.bias].filter((part) => part !== null && part !== undefined);

const shapes: fc.Arbitrary<Shape> = fc
  .record({
    images: fc.integer({ min: 1, max: 3 }),
    perGroup: fc.integer({ min: 1, max: 20 }),
    outPerGroup: fc.integer({ min: 1, max: 40 }),
    groups: fc.constantFrom(1, 2, 3),
    offsetGroups: fc.constantFrom(1, 2, 3),
    size: fc.tuple(fc.integer({ min: 1, max: 14 }), fc.integer({ min: 1, max: 14 })),
    kernel: fc.constantFrom([1, 1], [3, 3], [3, 1], [2, 3]) as fc.Arbitrary<[number, number]>,
    stride: fc.integer({ min: 1, max: 2 }),
    padding: fc.integer({ min: 0, max: 2 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    masked: fc.boolean(),
    biased: fc.boolean(),
  })
  .map(({ perGroup, outPerGroup, ...rest }) => ({
    ...rest,
    channels: perGroup * rest.groups * rest.offsetGroups,
    outChannels: outPerGroup * rest.groups,
  }))
  .filter((shape) => outSize(shape).every((size) => size >= 1));

describe("deformable convolution", () => {
  test.each<[string, Partial<Shape>]>([
    ["version 1", {}],
    ["version 2", { masked: true }],
    ["no bias", { biased: false }],
    ["stride 2", { stride: 2, size: [5, 6] }],
    ["dilation 2", { dilation: 2, padding: 2 }],
    ["groups", { channels: 4, outChannels: 4, groups: 2 }],
    ["deformable groups", { channels: 4, offsetGroups: 2, masked: true }],
    [
      "groups of both kinds, two images",
      { images: 2, channels: 4, groups: 2, offsetGroups: 4, size: [3, 3] },
    ],
    ["a kernel of 1×1 without padding", { kernel: [1, 1], padding: 0, channels: 3 }],
    ["a kernel that is not square", { kernel: [1, 3], size: [2, 4] }],
    ["a map of one cell", { size: [1, 1] }],
  ])("has the gradients that differences give: %s", (_, shape) => {
    scope(() => {
      const given = inputs({ ...small, ...shape });
      const tensors = parts(given);
      for (const part of tensors) part.requiresGrad = true;
      const masked = given.options.mask !== null;
      gradcheck(
        (input, weight, offset, ...rest) =>
          run({
            input: input as Tensor,
            weight: weight as Tensor,
            offset: offset as Tensor,
            options: {
              ...given.options,
              mask: masked ? (rest[0] as Tensor) : null,
              bias: given.options.bias === null ? null : (rest.at(-1) as Tensor),
            },
          }),
        tensors,
        { maxElements: 60 },
      );
    });
  });

  test("has the second derivatives that differences give", () => {
    scope(() => {
      const { input, weight, offset, options } = inputs({ ...small, size: [3, 3], masked: true });
      const { mask, bias, ...rest } = options;
      const tensors = [input, weight, offset, mask, bias] as Tensor[];
      for (const part of tensors) part.requiresGrad = true;
      gradgradcheck(
        (x, w, o, m, b) => deformConv2d(x as Tensor, w as Tensor, o as Tensor, { ...rest, mask: m, bias: b }),
        tensors,
        { maxElements: 12 },
      );
    });
  });

  test("agrees with the composite of libtorch's operators, gradients too", () => {
    fc.assert(
      fc.property(shapes, fc.integer(), fc.boolean(), (shape, seed, last) =>
        scope(() => {
          const [mine, theirs] = [run, runComposite].map((forward, i) => {
            const given = inputs(shape, "float32", seed & 0xffff, 2);
            const input = last && i === 0 ? channelsLast(given.input) : given.input;
            const tensors = parts({ ...given, input });
            for (const part of tensors) part.requiresGrad = true;
            const output = forward({ ...given, input });
            backward(output.mul(output.detach()).sum());
            return [output, ...tensors.map(({ grad }) => grad as Tensor)];
          }) as [Tensor[], Tensor[]];
          for (const [i, got] of mine.entries())
            expect(difference(got, theirs[i] as Tensor)).toBeLessThan(2e-4);
        }),
      ),
      { numRuns: 60, seed: 4 },
    );
  });

  test("with zero offsets and a mask of ones is a convolution", () => {
    fc.assert(
      fc.property(shapes, (shape) =>
        scope(() => {
          const { input, weight, offset, options } = inputs(shape, "float32", 5);
          const { mask, bias, stride, padding, dilation, groups } = options;
          const got = deformConv2d(input, weight, ops.zerosLike(offset), {
            ...options,
            mask: mask ? ops.onesLike(mask) : null,
          });
          const want = ops.conv2d(input, weight, bias ?? null, { stride, padding, dilation, groups });
          expect(difference(got, want)).toBeLessThan(1e-4);
        }),
      ),
      { numRuns: 30, seed: 6 },
    );
  });

  test("a whole offset shifts the map, and an offset beyond it reads zero", () => {
    scope(() => {
      const input = tensor([[[[1, 2, 3, 4]]]]);
      const weight = tensor([[[[1]]]]);
      const along = (shift: number): number[] => {
        const offset = zeros([1, 2, 1, 4]);
        offset.select(1, 1).fill_(shift);
        return values(deformConv2d(input, weight, offset));
      };
      expect(along(1)).toEqual([2, 3, 4, 0]);
      expect(along(-2)).toEqual([0, 0, 1, 2]);
      expect(along(0.5)).toEqual([1.5, 2.5, 3.5, 2]);
      expect(along(1e30)).toEqual([0, 0, 0, 0]);
      expect(along(-3e9)).toEqual([0, 0, 0, 0]);
      expect(along(Number.POSITIVE_INFINITY)).toEqual([0, 0, 0, 0]);
    });
  });

  test("a NaN offset makes NaN where it reads, and nowhere else; its neighbours keep their gradients", () => {
    scope(() => {
      const { input, weight, offset, options } = inputs(
        { ...small, channels: 20, outChannels: 17 },
        "float32",
      );
      for (const [channel, value] of [
        [0, Number.NaN],
        [3, Number.POSITIVE_INFINITY],
        [5, Number.NEGATIVE_INFINITY],
      ] as const)
        offset.select(1, channel).select(1, 1).select(1, 2).fill_(value);
      for (const part of [input, weight, offset]) part.requiresGrad = true;
      const output = deformConv2d(input, weight, offset, options);
      const bad = output.isnan().sum([0, 1]);
      expect(
        values(bad.to({ dtype: "float32" }))
          .map((count, i) => [i, count])
          .filter(([, count]) => count !== 0),
      ).toEqual([[1 * 5 + 2, 17]]);
      backward(output.select(2, 3).sum());
      expect(values(input.grad as Tensor).every(Number.isFinite)).toBe(true);
    });
  });

  test("an empty batch gives an empty result and zero gradients", () => {
    scope(() => {
      const { input, weight, offset, options } = inputs({ ...small, images: 0 }, "float32");
      weight.requiresGrad = true;
      const output = deformConv2d(input, weight, offset, options);
      expect(output.shape).toEqual([0, 2, 4, 5]);
      backward(output.sum());
      expect(values(weight.grad as Tensor).every((value) => value === 0)).toBe(true);
    });
  });

  test("takes any strides, and answers in channels-last where it was asked in it", () => {
    scope(() => {
      const shape = { ...small, images: 2, channels: 6, outChannels: 5, size: [7, 9] as const, masked: true };
      const given = inputs(shape, "float32");
      const want = run(given);
      const last = run({ ...given, input: channelsLast(given.input) });
      expect(last.isChannelsLast).toBe(true);
      expect(difference(last, want)).toBeLessThan(1e-6);
      const strided = (x: Tensor): Tensor => ops.stack([x, x.mul(2)], -1).select(-1, 0);
      const { input, weight, offset, options } = given;
      const got = deformConv2d(strided(input), strided(weight), strided(offset), {
        ...options,
        mask: strided(options.mask as Tensor),
        bias: strided(options.bias as Tensor),
      });
      expect(difference(got, want)).toBeLessThan(1e-6);
    });
  });

  test.each([
    ["float16", 5e-3],
    ["bfloat16", 4e-2],
  ] as const)("computes %s in float32 and answers in it, backward too", (dtype, tolerance) => {
    scope(() => {
      const shape = { ...small, channels: 8, outChannels: 8, masked: true };
      const narrow = parts(inputs(shape, "float32", 0, 0.5)).map((part) => part.to({ dtype }));
      const results = [narrow, narrow.map((part) => part.to({ dtype: "float32" }))].map((tensors) => {
        const [input, weight, offset, mask, bias] = tensors as [Tensor, Tensor, Tensor, Tensor, Tensor];
        for (const part of tensors) part.requiresGrad = true;
        const output = deformConv2d(input, weight, offset, { mask, bias, padding: 1 });
        expect(output.dtype).toBe(input.dtype);
        backward(output.sum());
        return [output, ...tensors.map(({ grad }) => grad as Tensor)].map((x) => x.to({ dtype: "float32" }));
      }) as [Tensor[], Tensor[]];
      for (const [i, got] of results[0].entries())
        expect(difference(got, results[1][i] as Tensor)).toBeLessThan(tolerance);
    });
  });

  test("under autocast keeps offsets in float32", () => {
    scope(() => {
      const { input, weight, options } = inputs(
        { ...small, size: [6, 300], kernel: [1, 1], padding: 0 },
        "float32",
      );
      const offset = zeros([1, 2, 6, 300]).add(0.123);
      const want = deformConv2d(input, weight, offset, options);
      const got = autocast({ device: "cpu", dtype: "bfloat16" }, () =>
        deformConv2d(input, weight, offset, options),
      );
      expect(difference(got.to({ dtype: "float32" }), want)).toBeLessThan(1e-5);
    });
  });

  test.each<[string, (given: Inputs) => Tensor, RegExp]>([
    [
      "an offset of another size",
      (g) => run({ ...g, offset: g.offset.narrow(1, 0, 16) }),
      /expected offset .* got \[1, 16, 4, 5\]/,
    ],
    [
      "a weight of another depth",
      (g) => run({ ...g, weight: g.weight.narrow(1, 0, 1) }),
      /expected weight \[2, 2, kH, kW\]/,
    ],
    [
      "a mask of another size",
      (g) => run({ ...g, options: { ...g.options, mask: g.offset } }),
      /expected mask .*1, 9, 4, 5/,
    ],
    [
      "a bias of another size",
      (g) => run({ ...g, options: { ...g.options, bias: zeros([3], { dtype: "float64" }) } }),
      /expected bias \[2\]/,
    ],
    [
      "mixed types",
      (g) => run({ ...g, offset: g.offset.to({ dtype: "float32" }) }),
      /expected offset of the input's type Double, got Float/,
    ],
    [
      "whole numbers",
      (g) => run({ ...g, input: g.input.to({ dtype: "int64" }) }),
      /floating-point input, got Long/,
    ],
    ["no batch dimension", (g) => run({ ...g, input: g.input.squeeze(0) }), /expected input \[N, C, H, W\]/],
    [
      "a stride of 0",
      (g) => run({ ...g, options: { ...g.options, stride: 0 } }),
      /"stride": expected integers from 1 .*, got \[0, 0\]/,
    ],
    [
      "groups that do not divide",
      (g) => run({ ...g, options: { ...g.options, groups: 3 } }),
      /multiples of groups=3/,
    ],
    [
      "deformable groups that do not divide",
      (g) => run({ ...g, options: { ...g.options, offsetGroups: 3 } }),
      /multiple of offset_groups=3/,
    ],
  ])("refuses %s and says what was expected", (_, call, message) => {
    scope(() => {
      expect(() => call(inputs(small))).toThrow(message);
    });
  });
});
