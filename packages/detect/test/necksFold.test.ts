import { inferenceMode, nn, noGrad, rand, randn, scope, type Tensor } from "@sepc/engine";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildDetector, parseDetector } from "../src/detectors/index.js";
import { buildTower, type TowerConfig } from "../src/models/necks/towers/index.js";
import { foldBatchNorm } from "../src/ops/foldBatchNorm.js";

/** Gives every normalisation below statistics and factors as training would leave them. */
function stir(module: nn.Module): void {
  noGrad(() =>
    scope(() => {
      for (const [, layer] of module.namedModules()) {
        if (!(layer instanceof nn.BatchNorm2d)) continue;
        const shape = [layer.config.numFeatures];
        layer.runningMean?.tensor.copy_(randn(shape).mul(0.2));
        layer.runningVar?.tensor.copy_(rand(shape).add(0.5));
        layer.weight?.tensor.copy_(rand(shape).add(0.5));
        layer.bias?.tensor.copy_(randn(shape).mul(0.2));
      }
      // Kernels and offsets of the size that training gives them, so that every term counts.
      for (const [name, { tensor }] of module.namedParameters())
        if (/kernels|convs?\.|Conv/.test(name)) tensor.copy_(randn(tensor.shape).mul(0.1));
    }),
  );
}

const batchNorms = (module: nn.Module): number =>
  [...module.namedModules()].filter(([, layer]) => layer instanceof nn.BatchNorm2d).length;

function pyramid(height: number, width: number, channels: number, levels: number): Tensor[] {
  return Array.from({ length: levels }, (_, l) =>
    randn([2, channels, Math.ceil(height / 2 ** l), Math.ceil(width / 2 ** l)]),
  );
}

/** The largest difference over the largest value. */
function difference(a: readonly Tensor[], b: readonly Tensor[]): number {
  return Math.max(
    ...a.map((map, i) => {
      const other = b[i] as Tensor;
      return map.sub(other).abs().max().item() / Math.max(1, other.abs().max().item());
    }),
  );
}

const foldable: fc.Arbitrary<TowerConfig> = fc.record({
  kind: fc.constantFrom("plain", "deformable", "pconv", "sepc-lite", "sepc"),
  depth: fc.integer({ min: 0, max: 2 }),
  norm: fc.constantFrom("integrated", "shared"),
  branches: fc.constantFrom("combined", "separate"),
  scaleKernel: fc.constantFrom(1, 3, 5),
  extraPadding: fc.constantFrom(0, 1),
});

describe("folding batch normalisation", () => {
  test("leaves no normalisation and changes nothing in any tower", () => {
    fc.assert(
      fc.property(
        foldable,
        fc.integer({ min: 9, max: 24 }),
        fc.integer({ min: 9, max: 24 }),
        (config, h, w) =>
          scope(() =>
            inferenceMode(() => {
              const tower = buildTower(config, { channels: 4, levels: 3 }).eval();
              stir(tower);
              const levels = pyramid(h, w, 4, 3);
              const before = tower.forward(levels);
              foldBatchNorm(tower);
              const after = tower.forward(levels);
              expect(batchNorms(tower)).toBe(0);
              expect(difference(after.cls, before.cls)).toBeLessThan(1e-5);
              expect(difference(after.box, before.box)).toBeLessThan(1e-5);
            }),
          ),
      ),
      { numRuns: 40, seed: 3 },
    );
  });

  test.each([
    "independent",
    "group",
  ] as const)("leaves %s normalisation, which a shared kernel cannot hold", (norm) => {
    scope(() => {
      const tower = buildTower({ kind: "pconv", depth: 1, norm }, { channels: 32, levels: 3 }).eval();
      stir(tower);
      const levels = pyramid(12, 12, 32, 3);
      const before = tower.forward(levels);
      const kept = batchNorms(tower);
      foldBatchNorm(tower);
      expect(batchNorms(tower)).toBe(kept);
      expect(difference(tower.forward(levels).cls, before.cls)).toBe(0);
    });
  });

  test.each([
    ["ResNet-18", { depth: 18 }],
    ["ResNet-50", { depth: 50 }],
    ["a deformable ResNeXt", { depth: 50, groups: 2, widthPerGroup: 8, deformableStages: ["c3", "c5"] }],
  ])("folds a whole detector on %s", (_, backbone) => {
    scope(() =>
      inferenceMode(() => {
        const config = parseDetector({
          detector: "retinanet",
          backbone: { ...backbone, width: 8 },
          neck: { channels: 8 },
          tower: { kind: "sepc", depth: 2, norm: "integrated" },
        });
        const detector = buildDetector(config, 3).eval();
        for (const [, layer] of detector.namedModules()) {
          if (!(layer instanceof nn.BatchNorm2d)) continue;
          const shape = [layer.config.numFeatures];
          layer.runningMean?.tensor.copy_(randn(shape).mul(0.1));
          layer.runningVar?.tensor.copy_(rand(shape).add(0.5));
        }
        for (const [name, { tensor }] of detector.namedParameters())
          if (name.includes("conv_offset")) tensor.copy_(randn(tensor.shape).mul(0.05));
        const images = randn([1, 3, 96, 128]);
        const maps = (): Tensor[] =>
          (detector.forward(images) as { cls: Tensor; box: Tensor }[]).flatMap(({ cls, box }) => [cls, box]);
        const before = maps();
        foldBatchNorm(detector);
        expect(batchNorms(detector)).toBe(0);
        expect(difference(maps(), before)).toBeLessThan(1e-5);
        expect([...detector.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad)).toEqual([]);
      }),
    );
  });

  test("is exact to the type's digits in float64, and can be done twice", () => {
    scope(() =>
      inferenceMode(() => {
        const tower = buildTower({ kind: "pconv", norm: "integrated" }, { channels: 4, levels: 4 }).eval();
        stir(tower);
        tower.to({ dtype: "float64" });
        const levels = pyramid(20, 16, 4, 4).map((map) => map.to({ dtype: "float64" }));
        const before = tower.forward(levels).cls;
        foldBatchNorm(foldBatchNorm(tower));
        expect(difference(tower.forward(levels).cls, before)).toBeLessThan(1e-13);
      }),
    );
  });
});
