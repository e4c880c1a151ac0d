// Training in bfloat16: the network computes in it, losses do not.
import { autocast, manualSeed, rand, scope, Tensor } from "@sepc/engine";
import { describe, expect, test } from "vitest";
import { buildDetector, detectorNames, parseDetector } from "../../src/detectors/index.js";
import { twoObjects } from "../support/truth.js";

const side = 96;

function dtypesIn(value: unknown): string[] {
  if (value instanceof Tensor) return [value.dtype];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(dtypesIn) : [];
}

describe.each(detectorNames)("%s", (name) => {
  test("hands float32 to its losses, which are near those of float32", () => {
    manualSeed(1);
    const backbone = { depth: 18, width: 8, frozenStages: 0, normEval: true };
    const tower = { kind: "sepc-lite", norm: "integrated", depth: 1 };
    const detector = buildDetector(
      parseDetector({ detector: name, backbone, neck: { channels: 16 }, tower }),
      3,
    );
    detector.train();
    const images = rand([1, 3, side, side]);
    const lossesIn = (enabled: boolean): number[] =>
      scope(() => {
        const raw = autocast({ device: "cpu", dtype: "bfloat16", enabled }, () => detector.forward(images));
        expect(new Set(dtypesIn(raw))).toEqual(new Set(["float32"]));
        return Object.entries(detector.losses(raw as never, [twoObjects(side)]))
          .filter(([part]) => part.startsWith("loss"))
          .map(([, loss]) => Number(loss.item()));
      });
    const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
    const [exact, half] = [sum(lossesIn(false)), sum(lossesIn(true))];
    expect(Math.abs(half - exact)).toBeLessThan(0.02 * exact);
  });
});
