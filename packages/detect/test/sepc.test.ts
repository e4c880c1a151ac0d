import { Generator, randn, scope, type Tensor, tensorOp } from "@sepc/engine";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildPyramidNorm, PConv, ResNet, Sepc } from "../src/models/index.js";

const sub = tensorOp("aten::sub.Tensor");
const abs = tensorOp("aten::abs");
const max = tensorOp("aten::max");
const relu = tensorOp("aten::relu");
const batchNorm = tensorOp("aten::batch_norm");
const narrow = tensorOp("aten::narrow");

const difference = (a: Tensor, b: Tensor): number => max(abs(sub(a, b))).item();

/** Levels of an image of height×width cells at the finest: each half of the one before, rounded up. */
function pyramid(height: number, width: number, channels = 4, images = 1, levels = 4, seed = 0): Tensor[] {
  const generator = new Generator(seed);
  return Array.from({ length: levels }, (_, l) =>
    randn([images, channels, Math.ceil(height / 2 ** l), Math.ceil(width / 2 ** l)], { generator }),
  );
}

const sizes = fc.tuple(fc.integer({ min: 8, max: 40 }), fc.integer({ min: 8, max: 40 }));

describe("pyramid convolution", () => {
  test("with a scale kernel of 1 is a convolution shared by the levels", () => {
    scope(() => {
      const net = new PConv({ inChannels: 4, outChannels: 5, levels: 4, scaleKernel: 1 });
      const levels = pyramid(17, 22);
      for (const [i, y] of net.forward(levels).entries()) {
        expect(
          difference(y, relu(net.kernels[0]?.forward(levels[i] as Tensor, false) as Tensor)),
        ).toBeLessThan(1e-6);
      }
    });
  });

  test("keeps every level's size, odd ones too, for scale kernels of 3 and 5", () => {
    fc.assert(
      fc.property(sizes, fc.constantFrom(3, 5), ([height, width], scaleKernel) =>
        scope(() => {
          const levels = pyramid(height, width);
          const net = new PConv({ inChannels: 4, outChannels: 3, levels: 4, scaleKernel });
          const shapes = net.forward(levels).map((y) => y.shape);
          expect(shapes).toEqual(levels.map(({ shape: [n, , h, w] }) => [n, 3, h, w]));
        }),
      ),
      { numRuns: 20, seed: 1 },
    );
  });

  test("a level depends on its neighbours and on no other", () => {
    scope(() => {
      const net = new PConv({ inChannels: 4, outChannels: 4, levels: 4 });
      const levels = pyramid(16, 16);
      const before = net.forward(levels);
      const changed = [...levels];
      changed[0] = randn(levels[0]?.shape as number[]);
      const after = net.forward(changed);
      const moved = after.map((y, i) => difference(y, before[i] as Tensor) > 0);
      expect(moved).toEqual([true, true, false, false]);
    });
  });

  test("refuses another number of levels and an even scale kernel", () => {
    expect(() => new PConv({ inChannels: 4, outChannels: 4, levels: 4, scaleKernel: 2 })).toThrow(
      /odd scaleKernel, got 2/,
    );
    const net = new PConv({ inChannels: 4, outChannels: 4, levels: 3 });
    expect(() => net.forward(pyramid(16, 16))).toThrow(/expected 3 levels, got 4/);
  });
});

describe("scale-equalising pyramid convolution", () => {
  test("with its zero-initialised offsets is the plain one", () => {
    fc.assert(
      fc.property(sizes, ([height, width]) =>
        scope(() => {
          const levels = pyramid(height, width);
          const sepc = new Sepc({ channels: 4, levels: 4, pconvs: 2, deform: "all" });
          const plain = new Sepc({ channels: 4, levels: 4, pconvs: 2 });
          plain.loadPartial(sepc.stateDict());
          const want = plain.forward(levels);
          for (const [i, { cls, box }] of sepc.forward(levels).entries()) {
            expect(difference(cls, want[i]?.cls as Tensor)).toBeLessThan(1e-5);
            expect(difference(box, want[i]?.box as Tensor)).toBeLessThan(1e-5);
          }
        }),
      ),
      { numRuns: 8, seed: 2 },
    );
  });

  test("gives a batch what it gives each image (without batch statistics)", () => {
    scope(() => {
      const net = new Sepc({ channels: 4, levels: 4, pconvs: 1, deform: "extra", norm: "integrated" }).eval();
      const levels = pyramid(19, 14, 4, 2);
      const both = net.forward(levels);
      const second = net.forward(levels.map((level) => narrow(level, 0, 1, 1)));
      for (const [i, { cls }] of both.entries()) {
        expect(difference(narrow(cls, 0, 1, 1), second[i]?.cls as Tensor)).toBeLessThan(1e-5);
      }
    });
  });

  test("separate branches share nothing, combined ones their pyramid convolutions", () => {
    const count = (branches: "combined" | "separate"): number =>
      new Sepc({ channels: 4, levels: 4, branches }).parameters().length;
    expect(count("combined")).toBe(4 * 3 * 2 + 2 * 2);
    expect(count("separate")).toBe(2 * 4 * 3 * 2 + 2 * 2);
  });

  test("the official padding of 0 makes maps two cells smaller", () => {
    scope(() => {
      const net = new Sepc({ channels: 4, levels: 3, pconvs: 1, extraPadding: 0 });
      const shapes = net.forward(pyramid(20, 24, 4, 1, 3)).map(({ cls }) => cls.shape.slice(2));
      expect(shapes).toEqual([
        [18, 22],
        [8, 10],
        [3, 4],
      ]);
      expect(() => net.forward(pyramid(8, 24, 4, 1, 3))).toThrow(
        /extraPadding 0.*got 2x6; expected a larger picture/,
      );
    });
  });
});

test("integrated batch normalisation of one level is batch normalisation", () => {
  scope(() => {
    const norm = buildPyramidNorm("integrated", 4, 1);
    const [level] = pyramid(9, 7, 4, 2, 1) as [Tensor];
    const [got] = norm.forward([level]) as [Tensor];
    expect(difference(got, batchNorm(level, null, null, null, null, true, 0.1, 1e-5, false))).toBeLessThan(
      1e-6,
    );
  });
});

describe("ResNet", () => {
  test.each([18, 50] as const)("ResNet-%i: levels and torchvision's names", (depth) => {
    scope(() => {
      const net = new ResNet({ depth }).eval();
      const maps = net.forward(randn([1, 3, 64, 96]));
      expect(maps.map(({ shape }) => shape)).toEqual(
        net.levels.map(({ channels, stride }) => [1, channels, 64 / stride, 96 / stride]),
      );
      const names = [...net.stateDict().keys()];
      expect(names).toContain("layer2.0.downsample.1.running_var");
      // torchvision's resnet18 and resnet50 hold 122 and 320 tensors, of which fc.weight and fc.bias are the head's.
      expect(names.length).toBe({ 18: 120, 50: 318 }[depth]);
    });
  });

  test("frozen stages keep their statistics and get no gradients", () => {
    const net = new ResNet({ depth: 18, frozenStages: 2, normEval: true }).train();
    const trained = [...net.namedParameters()]
      .filter(([, parameter]) => parameter.requiresGrad)
      .map(([name]) => name);
    expect(trained.some((name) => name.startsWith("conv1") || name.startsWith("layer1"))).toBe(false);
    expect(trained.some((name) => name.startsWith("layer2"))).toBe(true);
    expect(
      [...net.namedModules()].filter(([name, module]) => name.includes("bn") && module.training),
    ).toEqual([]);
  });
});
