import { describe, expect, test } from "vitest";
import { countFlops, type FlopReport } from "../src/analysis/flops.js";
import { type DetectorConfig, parseDetector } from "../src/detectors/index.js";
import { sepcHere } from "./support/command.js";

function model(tower: object, more: object = {}): DetectorConfig {
  return parseDetector({ detector: "retinanet", backbone: { depth: 50 }, tower, ...more });
}

const costOf = (report: FlopReport, part: string): number =>
  report.parts.find(({ name }) => name === part)?.multiplyAdds ?? Number.NaN;

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Cells of the pyramid of a 1280 × 1280 picture. */
const cells = 160 ** 2 + 80 ** 2 + 40 ** 2 + 20 ** 2 + 10 ** 2;
/** A 3×3 convolution of 256 to 256 channels, per cell. */
const perCell = 256 * 256 * 9;

describe("counting multiply-adds", () => {
  test("of RetinaNet with SEPC-lite gives the figures of the paper's Appendix 1", async () => {
    const { code, out } = await sepcHere("flops", "--json", "--size", "1280x1280");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      costPerLevel: [2, 2.25, 2.25, 2.25, 1.25],
      areaShare: [0.0029, 0.0117, 0.0469, 0.1877, 0.7507],
      stackRatio: 1.4985,
      headRatio: 0.99925,
      deformableOverhead: 0.025,
    });
  });

  test("finds in each part what its layers say", () => {
    const report = countFlops(model({ kind: "plain" }));
    expect(costOf(report, "tower")).toBe(8 * perCell * cells);
    expect(costOf(report, "predictions")).toBe(256 * 9 * (9 * 80 + 9 * 4) * cells);
    expect(costOf(report, "backbone.stem")).toBe(64 * 3 * 49 * 640 ** 2);
    // ResNet-50 without its classifier: 4.09 G at 224 × 224 less 2 M, which grow with the area.
    const backbone = sum(
      report.parts.filter(({ name }) => name.startsWith("backbone")).map((p) => p.multiplyAdds),
    );
    expect(backbone / 1e9).toBeCloseTo(4.087 * (1280 / 224) ** 2, 0);
    expect(report.multiplyAdds).toBe(sum(report.parts.map(({ multiplyAdds }) => multiplyAdds)));
    expect(report.parameters).toBe(sum(report.parts.map(({ parameters }) => parameters)));
    expect(report).toMatchObject({
      towerRatio: 1,
      totalRatio: 1,
      stackRatio: 1,
      headRatio: 1,
      deformableOverhead: 0,
    });
    expect(report.costPerLevel).toEqual([1, 1, 1, 1, 1]);
  });

  test("counts offsets and interpolation on all levels but the lowest", () => {
    const lite = countFlops(model({ kind: "sepc-lite" }));
    const pconv = countFlops(model({ kind: "pconv" }));
    const upper = cells - 160 ** 2;
    expect(costOf(lite, "tower") - costOf(pconv, "tower")).toBe(2 * 256 * 9 * (18 + 8) * upper);
    expect(lite.levels.at(-1)?.tower).toBe(pconv.levels.at(-1)?.tower);
    const deformable = countFlops(model({ kind: "deformable" }));
    expect(deformable.towerRatio).toBeCloseTo(1 + ((26 / 256) * upper) / cells, 10);
    expect(deformable.deformableOverhead).toBe(0.025);
  });

  test.each([
    ["separate branches", { kind: "pconv", branches: "separate" }, [2, 2.25, 2.25, 2.25, 1.25]],
    ["SEPC", { kind: "sepc" }, [2, 2.25, 2.25, 2.25, 1.25]],
    ["a scale kernel of 1", { kind: "pconv", scaleKernel: 1 }, [1, 1, 1, 1, 1]],
    ["a scale kernel of 5", { kind: "pconv", scaleKernel: 5 }, [3, 3.25, 3.3125, 2.3125, 1.3125]],
    ["the official padding", { kind: "pconv", extraPadding: 0 }, [2, 2.25, 2.25, 2.25, 1.25]],
  ])("attributes every kernel of %s to the level that it serves", (_, tower, costPerLevel) => {
    const report = countFlops(model(tower));
    expect(report.costPerLevel).toEqual(costPerLevel);
    const byLevel = (part: "tower" | "predictions"): number => sum(report.levels.map((level) => level[part]));
    expect(byLevel("tower")).toBe(costOf(report, "tower"));
    expect(byLevel("predictions")).toBe(costOf(report, "predictions"));
  });

  test("gives ratios that depend on neither backbone nor detector", () => {
    const small = parseDetector({
      detector: "fsaf",
      backbone: { depth: 18, width: 16 },
      neck: { channels: 32 },
      tower: { kind: "pconv", depth: 2 },
    });
    const report = countFlops(small, { classes: 3 });
    expect(report).toMatchObject({
      detector: "fsaf",
      stackRatio: 1.4985,
      costPerLevel: [2, 2.25, 2.25, 2.25, 1.25],
    });
    expect(costOf(report, "predictions")).toBe(32 * 9 * (3 + 4) * cells);
  });

  test("refuses sizes that say nothing", () => {
    const config = model({ kind: "plain" });
    expect(() => countFlops(config, { size: [64, 64] })).toThrow(/all levels differ in size, got 64x64/);
    expect(() => countFlops(config, { size: [0, 64] })).toThrow(/whole pixels, got 0x64/);
  });
});

describe("sepc flops", () => {
  test("prints parts, levels and ratios", async () => {
    const { code, out } = await sepcHere("flops", "--tower", "sepc", "--size", "800x1344");
    expect(code).toBe(0);
    expect(out).toMatch(/predictions +1\.74/);
    expect(out).toMatch(/p7 +7x11/);
    expect(out).toMatch(/stacked convolutions +1\.5000 x/);
  });

  test("explains what it cannot read", async () => {
    const { code, err } = await sepcHere("flops", "--size", "big");
    expect(code).toBe(1);
    expect(err).toBe('--size: expected HEIGHTxWIDTH, as 800x1344, got "big"\n');
  });
});
