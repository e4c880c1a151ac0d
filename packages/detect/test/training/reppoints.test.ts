import { type LevelSize, type PointPriors, pointGrid } from "@sepc/core";
import {
  backward,
  fromTypedArray,
  grad,
  gradcheck,
  manualSeed,
  ones,
  ops,
  rand,
  scope,
  type Tensor,
} from "@sepc/engine";
import { beforeEach, describe, expect, test } from "vitest";
import type { Truth } from "../../src/detectors/index.js";
import { RepPointsHead } from "../../src/detectors/reppoints/head.js";
import { distancesOf } from "../../src/detectors/reppoints/network.js";
import {
  type BoxFrom,
  pointsToBoxes,
  regularGrid,
  scaleGradient,
} from "../../src/detectors/reppoints/points.js";
import { repPointsTargets } from "../../src/detectors/reppoints/targets.js";
import { type RepPointsTraining, repPointsLosses } from "../../src/detectors/reppoints/training.js";
import { type Corners, numbersOf, rowsOf } from "./pictures.js";

beforeEach(() => {
  manualSeed(1);
});

const side = 128;
const strides = [8, 16, 32];
const sizes: LevelSize[] = strides.map((stride) => [side / stride, side / stride]);
const counts = sizes.map(([height, width]) => height * width);
const priors: PointPriors = { kind: "points", strides, offset: 0 };

/** One set of points as a box, from the definition. */
function boxOf(
  points: readonly (readonly [y: number, x: number])[],
  from: BoxFrom,
  factors: number[],
): number[] {
  const used = from === "partialMinmax" ? points.slice(0, 4) : points;
  const along = (axis: 0 | 1, factor: number): [number, number] => {
    const values = used.map((point) => point[axis]);
    if (from !== "moment") return [Math.min(...values), Math.max(...values)];
    const mean = values.reduce((sum, value) => sum + value) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
    return [mean - Math.sqrt(variance) * factor, mean + Math.sqrt(variance) * factor];
  };
  const [[left, right], [top, bottom]] = [along(1, factors[0] as number), along(0, factors[1] as number)];
  return [left, top, right, bottom];
}

describe("points to boxes", () => {
  test.each(["minmax", "partialMinmax", "moment"] as const)("%s is what the paper says", (from) => {
    scope(() => {
      const points = rand([5, 18, 2, 3]).sub(0.5);
      const factors = from === "moment" ? fromTypedArray(Float32Array.of(1.3, 0.7), [2]) : null;
      const boxes = pointsToBoxes(points, from, factors);
      expect(boxes.shape).toEqual([5, 4, 2, 3]);
      const values = points.toTypedArray() as Float32Array;
      const at = (n: number, c: number, cell: number): number => values[(n * 18 + c) * 6 + cell] as number;
      const found = boxes.toTypedArray() as Float32Array;
      for (let n = 0; n < 5; n++)
        for (let cell = 0; cell < 6; cell++) {
          const set = Array.from(
            { length: 9 },
            (_, i) => [at(n, 2 * i, cell), at(n, 2 * i + 1, cell)] as const,
          );
          for (const [i, value] of boxOf(set, from, [1.3, 0.7]).entries())
            expect(found[(n * 4 + i) * 6 + cell]).toBeCloseTo(value, 5);
        }
      const rows = pointsToBoxes(points.select(3, 1).select(2, 0), from, factors);
      const same = boxes.select(3, 1).select(2, 0);
      expect(Number(rows.sub(same).abs().max().item())).toBeLessThan(1e-6);
    });
  });

  test.each([
    "minmax",
    "partialMinmax",
    "moment",
  ] as const)("%s: gradients agree with differences", (from) => {
    scope(() => {
      const leaf = (shape: number[]): Tensor => {
        const made = rand(shape, { dtype: "float64" }).detach();
        made.requiresGrad = true;
        return made;
      };
      gradcheck(
        (points, factors) => pointsToBoxes(points, from, factors as Tensor),
        [leaf([2, 18]), leaf([2])],
      );
    });
  });

  test("points that are all one have a box and a gradient", () => {
    scope(() => {
      const points = ones([1, 18]);
      points.requiresGrad = true;
      const boxes = pointsToBoxes(points, "moment", ones([2]));
      for (const value of boxes.toTypedArray() as Float32Array) expect(value).toBeCloseTo(1, 5);
      backward(boxes.square().sum());
      expect(Number(points.grad?.isfinite().all().item())).toBe(1);
    });
  });

  test("boxes in cells become distances from the point in pixels", () => {
    scope(() => {
      const box = fromTypedArray(Float32Array.of(-1, -2, 3, 4), [1, 4, 1, 1]);
      expect([...(distancesOf(box, 8).toTypedArray() as Float32Array)]).toEqual([8, 16, 24, 32]);
    });
  });
});

describe("the head of points", () => {
  test("a scaled gradient leaves the values", () => {
    scope(() => {
      const x = fromTypedArray(Float32Array.of(1, -2, 3), [3]);
      x.requiresGrad = true;
      const y = scaleGradient(x, 0.25);
      for (const [i, value] of (y.toTypedArray() as Float32Array).entries())
        expect(value).toBeCloseTo([1, -2, 3][i] as number, 6);
      const [gradient] = grad([y.sum()], [x]);
      expect([...(gradient?.toTypedArray() as Float32Array)]).toEqual([0.25, 0.25, 0.25]);
    });
  });

  test("points on the regular grid read as a plain convolution does", () => {
    scope(() => {
      const config = {
        channels: 4,
        classes: 2,
        kernelSize: 3,
        boxFrom: "moment",
        momentGradient: 0.01,
        offsetGradient: 0.1,
      } as const;
      const head = new RepPointsHead(config);
      head.initOut.weight.tensor.detach().zero_();
      head.initOut.bias?.tensor.detach().copy_(regularGrid(3).reshape([18]));
      const [cls, box] = [rand([1, 4, 6, 7]), rand([1, 4, 6, 7])];
      const found = head.forward(cls, box);
      const plain = ops.conv2d(cls, head.clsConv.weight.tensor, null, { padding: 1 }).relu();
      const wanted = head.clsOut.forward(plain);
      expect(Number(found.cls.sub(wanted).abs().max().item())).toBeLessThan(1e-5);
      head.free();
    });
  });
});

const training: RepPointsTraining = {
  priors,
  baseScale: 4,
  pointsPerBox: 1,
  assigner: { positiveIou: 0.5, negativeIou: 0.4, minPositiveIou: 0 },
  focal: { gamma: 2, alpha: 0.25 },
  beta: 0.11,
  initWeight: 0.5,
  refineWeight: 1,
};

function truthOf(boxes: readonly Corners[]): Truth {
  const labels = fromTypedArray(
    BigInt64Array.from(boxes, (_, i) => BigInt(i % 2)),
    [boxes.length],
  );
  return { boxes: rowsOf(boxes, 4), labels, ignored: null, size: [side, side], padded: [side, side] };
}

/** Maps of one picture and two classes. */
const mapsOf = (dtype: "float32" | "float64") =>
  sizes.map(([height, width]) => {
    const map = (channels: number, spread: number): Tensor => {
      const made = rand([1, channels, height, width], { dtype }).sub(0.5).mul(spread).detach();
      made.requiresGrad = true;
      return made;
    };
    return { cls: map(2, 1), init: map(18, 4), refine: map(18, 4) };
  });

type Maps = ReturnType<typeof mapsOf>[number];
const toBoxes = (points: Tensor): Tensor => pointsToBoxes(points, "minmax");

describe("RepPoints' losses", () => {
  test("boxes that fit cost nothing", () => {
    scope(() => {
      const box: Corners = [16, 24, 48, 56];
      // At every cell of every level the first two points are the box's corners, the others lie between.
      const points = sizes.map(([height, width], level) => {
        const stride = strides[level] as number;
        const grid = pointGrid(priors, level, [height, width]);
        const cells = grid.length / 2;
        const data = new Float32Array(18 * cells);
        for (let cell = 0; cell < cells; cell++)
          for (let p = 0; p < 9; p++) {
            const [x, y] = p === 0 ? [box[0], box[1]] : p === 1 ? [box[2], box[3]] : [32, 40];
            data[2 * p * cells + cell] = (y - (grid[2 * cell + 1] as number)) / stride;
            data[(2 * p + 1) * cells + cell] = (x - (grid[2 * cell] as number)) / stride;
          }
        return fromTypedArray(data, [1, 18, height, width]);
      });
      const maps = points.map((map, level) => ({
        cls: rand([1, 2, ...(sizes[level] as LevelSize)]),
        init: map,
        refine: map,
      }));
      const targets = repPointsTargets(training, maps, toBoxes, [truthOf([box])]);
      expect(targets.init.positives).toBe(1);
      expect(targets.refine.positives).toBe(counts.reduce((sum, count) => sum + count));
      const losses = repPointsLosses(training, maps, toBoxes, targets);
      for (const [name, loss] of Object.entries(losses))
        if (name.startsWith("loss_pts")) expect(Number(loss.item()), name).toBeLessThan(1e-9);
    });
  });

  test("gradients agree with differences", () => {
    scope(() => {
      const maps = mapsOf("float64");
      const truths = [
        truthOf([
          [-20, -16, 150, 140],
          [30, 40, 70, 90],
        ]),
      ].map((truth) => ({
        ...truth,
        boxes: truth.boxes.to({ dtype: "float64" }),
      }));
      const targets = repPointsTargets(training, maps, toBoxes, truths);
      expect(numbersOf(targets.init.levels)).toContain(2);
      expect(numbersOf(targets.refine.levels)).toContain(2);
      const [fine, middle, coarse] = maps as [Maps, Maps, Maps];
      const total = (cls: Tensor, init: Tensor, refine: Tensor): Tensor =>
        Object.values(
          repPointsLosses(training, [fine, middle, { cls, init, refine }], toBoxes, targets),
        ).reduce((sum, loss) => sum.add(loss));
      gradcheck(total, [coarse.cls, coarse.init, coarse.refine]);
    });
  });

  test("are finite, with gradients, where nothing is to be found", () => {
    scope(() => {
      const maps = mapsOf("float32");
      const targets = repPointsTargets(training, maps, toBoxes, [truthOf([])]);
      const losses = repPointsLosses(training, maps, toBoxes, targets);
      expect(Object.keys(losses)).toHaveLength(3 * sizes.length);
      for (const [name, loss] of Object.entries(losses))
        if (!name.startsWith("loss_cls")) expect(loss.item(), name).toBe(0);
      backward(Object.values(losses).reduce((sum, loss) => sum.add(loss)));
      for (const { cls, init, refine } of maps) {
        expect(Number(cls.grad?.abs().sum().item())).toBeGreaterThan(0);
        for (const points of [init, refine]) expect(points.grad?.abs().sum().item()).toBe(0);
      }
    });
  });
});
