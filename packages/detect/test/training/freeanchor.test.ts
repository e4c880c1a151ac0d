import type { AnchorPriors } from "@sepc/core";
import { backward, full, manualSeed, randn, scope, type Tensor } from "@sepc/engine";
import { beforeEach, expect, test } from "vitest";
import { type FreeAnchorTraining, freeAnchorLosses } from "../../src/detectors/freeanchor/training.js";
import { rowsOf } from "./pictures.js";

beforeEach(() => {
  manualSeed(1);
});

const anchors: AnchorPriors = {
  kind: "anchors",
  strides: [16],
  ratios: [1],
  scales: [4],
  legacyBoxes: false,
};
const config: FreeAnchorTraining = {
  anchors,
  coder: { kind: "delta", means: [0, 0, 0, 0], stds: [0.1, 0.1, 0.2, 0.2], legacyBoxes: false },
  bagSize: 5,
  boxThreshold: 0.6,
  gamma: 2,
  alpha: 0.5,
  beta: 0.11,
  boxWeight: 0.75,
};

/** Losses of one picture of 96 x 96 with two objects and two classes, and their gradients. */
function lossesOf(cls: Tensor, box: Tensor): { losses: number[]; gradients: number[] } {
  return scope(() => {
    const maps = [cls, box].map((map) => {
      map.requiresGrad = true;
      return map;
    }) as [Tensor, Tensor];
    const truth = {
      boxes: rowsOf(
        [
          [10, 12, 60, 70],
          [40, 30, 90, 92],
        ],
        4,
      ),
      labels: full([2], 1, { dtype: "int64" }),
      ignored: null,
      size: [96, 96] as [number, number],
      padded: [96, 96] as [number, number],
    };
    const losses = Object.values(freeAnchorLosses(config, [{ cls: maps[0], box: maps[1] }], [truth]));
    backward(losses.reduce((sum, loss) => sum.add(loss)));
    return {
      losses: losses.map((loss) => Number(loss.item())),
      gradients: maps.flatMap((map) => Array.from((map.grad as Tensor).toTypedArray() as Float32Array)),
    };
  });
}

const finite = (values: readonly number[]): boolean => values.every(Number.isFinite);

test("boxes so far off that their likelihood is 0 leave gradients finite", () => {
  const { losses, gradients } = lossesOf(randn([1, 2, 6, 6]), full([1, 4, 6, 6], 400));
  expect(finite(losses)).toBe(true);
  expect(losses[0]).toBeGreaterThan(1);
  expect(finite(gradients)).toBe(true);
});

test("scores that are 0 or 1 to the last bit leave gradients finite", () => {
  for (const logit of [-200, 200]) {
    const { losses, gradients } = lossesOf(full([1, 2, 6, 6], logit), randn([1, 4, 6, 6]));
    expect(finite(losses)).toBe(true);
    expect(finite(gradients)).toBe(true);
  }
});
