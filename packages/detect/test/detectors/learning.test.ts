// Every detector with every head tower: it can be built, learns a picture, is saved, loaded, and finds the same.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backward, fromTypedArray, io, manualSeed, optim, rand, scope } from "@sepc/engine";
import { afterAll, describe, expect, test } from "vitest";
import {
  buildDetector,
  type DetectorConfig,
  detectorNames,
  parseDetector,
  type Truth,
} from "../../src/detectors/index.js";
import { TOWERS, type TowerName } from "../../src/presets/index.js";
import { predict } from "../../src/train/predict.js";
import { twoObjects } from "../support/truth.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-learning-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const side = 96;

function configOf(detector: string, tower: TowerName): DetectorConfig {
  return parseDetector({
    detector,
    backbone: { depth: 18, width: 8, frozenStages: 0, normEval: false },
    neck: { channels: 16 },
    tower: { norm: "integrated", ...TOWERS[tower], depth: 1 },
    postprocess: { scoreThreshold: 0.01 },
  });
}

const truth = () => twoObjects(side);

const frame = { inputWidth: side, inputHeight: side, scaleX: 1, scaleY: 1 };

test("every folder of detectors is in the table", () => {
  const source = join(import.meta.dirname, "..", "..", "src", "detectors");
  const folders = readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect([...detectorNames].sort()).toEqual(folders.map(({ name }) => name).sort());
});

describe.each(detectorNames)("%s", (name) => {
  test.each(Object.keys(TOWERS) as TowerName[])("with the tower %s", (tower) => {
    manualSeed(1);
    const config = configOf(name, tower);
    const detector = buildDetector(config, 3).train();
    const images = rand([2, 3, side, side]);
    const optimizer = new optim.AdamW(detector.parameters(), { lr: 2e-3 });
    const losses: number[] = [];
    for (let step = 0; step < 20; step++) {
      scope(() => {
        optimizer.zeroGrad();
        const parts = Object.entries(detector.losses(detector.forward(images), [truth(), truth()]));
        const total = parts
          .filter(([part]) => part.startsWith("loss"))
          .reduce((sum, [, loss]) => sum.add(loss), rand([1]).mul(0).sum());
        backward(total);
        optim.clipGradNorm_(detector.parameters(), 35);
        optimizer.step();
        losses.push(Number(total.item()));
      });
    }
    expect(losses.every(Number.isFinite)).toBe(true);
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value) / values.length;
    expect(mean(losses.slice(-4))).toBeLessThan(0.9 * mean(losses.slice(0, 4)));

    const file = join(folder, `${name}-${tower}.safetensors`);
    io.writeSafetensors(file, detector.stateDict());
    const again = buildDetector(config, 3).eval();
    again.loadStateDict(io.readSafetensors(file).tensors);
    detector.eval();
    const pixels = images.toTypedArray() as Float32Array;
    const found = (network: typeof detector) => predict(network, pixels, [2, 3, side, side], [frame, frame]);
    const objects = found(detector);
    expect(found(again)).toEqual(objects);
    expect(objects.length).toBe(2);
    for (const { box, label, score } of objects.flat()) {
      expect(score).toBeGreaterThan(0);
      expect(score).toBeLessThanOrEqual(1);
      expect([0, 1, 2]).toContain(label);
      expect(Math.min(...box)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...box)).toBeLessThanOrEqual(side);
    }
    optimizer.free();
    detector.free();
    again.free();
  }, 300_000);

  test("pictures without objects train too", () => {
    const detector = buildDetector(configOf(name, "fpn"), 3).train();
    const none: Truth = {
      ...truth(),
      boxes: fromTypedArray(new Float32Array(0), [0, 4]),
      labels: fromTypedArray(new BigInt64Array(0), [0]),
    };
    scope(() => {
      const parts = Object.entries(detector.losses(detector.forward(rand([1, 3, side, side])), [none]));
      for (const [part, loss] of parts) expect(Number.isFinite(Number(loss.item())), part).toBe(true);
      backward(
        parts
          .filter(([part]) => part.startsWith("loss"))
          .map(([, loss]) => loss)
          .reduce((sum, loss) => sum.add(loss)),
      );
    });
    detector.free();
  });
});
