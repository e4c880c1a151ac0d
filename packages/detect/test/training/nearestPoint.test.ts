import { type LevelSize, type PointPriors, pointGrid } from "@sepc/core";
import { fromTypedArray, scope, type Tensor } from "@sepc/engine";
import { describe, expect, test } from "vitest";
import { assignNearestPoints } from "../../src/training/assigners/nearestPoint.js";
import { type Corners, numbersOf, randomBoxes, rowsOf, seeded } from "./pictures.js";

const side = 128;
const strides = [8, 16, 32];
const sizes: LevelSize[] = strides.map((stride) => [side / stride, side / stride]);
const counts = sizes.map(([height, width]) => height * width);
const priors: PointPriors = { kind: "points", strides, offset: 0 };

const pointRows = sizes.flatMap((size, level) => {
  const grid = pointGrid(priors, level, size);
  return Array.from({ length: grid.length / 2 }, (_, i): [number, number] => [
    grid[2 * i] as number,
    grid[2 * i + 1] as number,
  ]);
});

/** Box by box: the nearest points of the level whose stride is a quarter of the box's typical side. */
function stated(
  boxes: readonly Corners[],
  most: number,
  excluded: ReadonlySet<number> = new Set(),
): number[] {
  const best = pointRows.map((_, place): [number, number] => [excluded.has(place) ? -1 : 0, Infinity]);
  for (const [g, [x1, y1, x2, y2]] of boxes.entries()) {
    const typical = (Math.log2((x2 - x1) / 4) + Math.log2((y2 - y1) / 4)) / 2;
    const level = Math.min(Math.max(Math.trunc(typical), 3), 5) - 3;
    const first = counts.slice(0, level).reduce((sum, count) => sum + count, 0);
    const distance = (place: number): number => {
      const [x, y] = pointRows[place] as [number, number];
      return Math.hypot((x - (x1 + x2) / 2) / (x2 - x1), (y - (y1 + y2) / 2) / (y2 - y1));
    };
    const places = Array.from({ length: counts[level] as number }, (_, i) => first + i);
    const nearest = places.filter((place) => !excluded.has(place)).sort((a, b) => distance(a) - distance(b));
    for (const place of nearest.slice(0, most))
      if (distance(place) < (best[place] as [number, number])[1]) best[place] = [g + 1, distance(place)];
  }
  return best.map(([assigned]) => assigned);
}

const assigned = (
  boxes: readonly Corners[],
  pointsPerBox: number,
  excluded: Tensor | null = null,
): number[] =>
  scope(() => {
    const config = { strides, scale: 4, pointsPerBox };
    return numbersOf(
      assignNearestPoints(rowsOf(pointRows, 2), counts, rowsOf(boxes, 4), config, { excluded }),
    );
  });

describe("the assigner of nearest points", () => {
  test.each([1, 2, 3])("agrees with a loop over boxes (%d)", (seed) => {
    const boxes = randomBoxes(seeded(seed), 8, side);
    expect(assigned(boxes, 1)).toEqual(stated(boxes, 1));
    expect(assigned(boxes, 5)).toEqual(stated(boxes, 5));
  });

  test("excluded points take no part", () => {
    const boxes = randomBoxes(seeded(5), 6, side);
    const places = new Set(pointRows.flatMap(([x], place) => (x > side / 2 ? [place] : [])));
    const flags = Uint8Array.from(pointRows, (_, place) => (places.has(place) ? 1 : 0));
    const excluded = fromTypedArray(flags, [flags.length], { dtype: "bool" });
    expect(assigned(boxes, 3, excluded)).toEqual(stated(boxes, 3, places));
    excluded.free();
  });

  test("a level with too few points gives all it has", () => {
    const box: Corners = [1, 2, 127, 126];
    expect(assigned([box], 100).filter((one) => one === 1)).toHaveLength(counts[1] as number);
  });

  test("one box takes one point, and none without boxes", () => {
    expect(assigned([[10, 10, 50, 40]], 1).filter((one) => one > 0)).toEqual([1]);
    expect(new Set(assigned([], 1))).toEqual(new Set([0]));
  });
});
