import { type AnchorPriors, anchorGrid, type LevelSize } from "@sepc/core";
import { backward, fromTypedArray, gradcheck, manualSeed, rand, scope, type Tensor } from "@sepc/engine";
import { beforeEach, describe, expect, test } from "vitest";
import {
  type AtssTraining,
  atssLosses,
  atssTargets,
  centernessTargets,
} from "../../src/detectors/atss/training.js";
import type { Truth } from "../../src/detectors/index.js";
import { assignByAtss } from "../../src/training/assigners/atss.js";
import { type Corners, numbersOf, randomBoxes, rowsOf, seeded } from "./pictures.js";

beforeEach(() => {
  manualSeed(1);
});

const side = 128;
const strides = [8, 16, 32];
const sizes: LevelSize[] = strides.map((stride) => [side / stride, side / stride]);
const counts = sizes.map(([height, width]) => height * width);
const anchors: AnchorPriors = { kind: "anchors", strides, ratios: [1], scales: [4], legacyBoxes: false };

function anchorRows(): Corners[] {
  return sizes.flatMap((size, level) => {
    const grid = anchorGrid(anchors, level, size);
    return Array.from(
      { length: grid.length / 4 },
      (_, i) => [...grid.subarray(4 * i, 4 * i + 4)] as unknown as Corners,
    );
  });
}

function overlap(a: Corners, b: Corners): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(width, 0) * Math.max(height, 0);
  const area = (box: Corners): number => (box[2] - box[0]) * (box[3] - box[1]);
  return shared / (area(a) + area(b) - shared);
}

const centreOf = (box: Corners): [number, number] => [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];

/** Candidates of a box, level by level, as the paper's Algorithm 1 states them. */
function candidatesOf(
  rows: readonly Corners[],
  box: Corners,
  most: number,
  excluded: ReadonlySet<number>,
): number[] {
  const [x, y] = centreOf(box);
  let first = 0;
  return counts.flatMap((count) => {
    const places = Array.from({ length: count }, (_, i) => first + i).filter((place) => !excluded.has(place));
    first += count;
    const distance = (place: number): number => {
      const [ax, ay] = centreOf(rows[place] as Corners);
      return Math.hypot(ax - x, ay - y);
    };
    return places.sort((a, b) => distance(a) - distance(b)).slice(0, most);
  });
}

/** Algorithm 1, box by box. */
function stated(
  boxes: readonly Corners[],
  most: number,
  excluded: ReadonlySet<number> = new Set(),
): number[] {
  const rows = anchorRows();
  const best = rows.map((_, place) => (excluded.has(place) ? [-1, 0] : [0, -1]) as [number, number]);
  for (const [g, box] of boxes.entries()) {
    const candidates = candidatesOf(rows, box, most, excluded);
    const overlaps = candidates.map((place) => overlap(rows[place] as Corners, box));
    const mean = overlaps.reduce((sum, one) => sum + one) / overlaps.length;
    const variance = overlaps.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (overlaps.length - 1);
    for (const [i, place] of candidates.entries()) {
      const [x, y] = centreOf(rows[place] as Corners);
      const within = Math.min(x - box[0], y - box[1], box[2] - x, box[3] - y) > 0.01;
      const own = overlaps[i] as number;
      if (within && own >= mean + Math.sqrt(variance) && own > (best[place] as [number, number])[1])
        best[place] = [g + 1, own];
    }
  }
  return best.map(([assigned]) => assigned);
}

const assigned = (boxes: readonly Corners[], most: number, excluded: Tensor | null = null): number[] =>
  scope(() =>
    numbersOf(
      assignByAtss(rowsOf(anchorRows(), 4), counts, rowsOf(boxes, 4), { candidates: most }, { excluded }),
    ),
  );

describe("ATSS's assigner", () => {
  test.each([1, 2, 3, 4, 5])("agrees with the paper's Algorithm 1 (%d)", (seed) => {
    const boxes = randomBoxes(seeded(seed), 6, side);
    const found = assigned(boxes, 9);
    expect(found).toEqual(stated(boxes, 9));
    expect(found.some((one) => one > 0)).toBe(true);
  });

  test("a level smaller than the candidates wanted gives all it has", () => {
    const boxes = randomBoxes(seeded(9), 3, side);
    expect(assigned(boxes, 40)).toEqual(stated(boxes, 40));
  });

  test("excluded anchors are no candidates", () => {
    const boxes = randomBoxes(seeded(7), 4, side);
    const places = new Set(anchorRows().flatMap(([x1, , x2], place) => (x1 + x2 > side ? [place] : [])));
    const flags = Uint8Array.from(anchorRows(), (_, place) => (places.has(place) ? 1 : 0));
    const excluded = fromTypedArray(flags, [flags.length], { dtype: "bool" });
    expect(assigned(boxes, 9, excluded)).toEqual(stated(boxes, 9, places));
    excluded.free();
  });

  test("without boxes everything is background; one box gets what surrounds its centre", () => {
    expect(new Set(assigned([], 9))).toEqual(new Set([0]));
    const one = assigned([[40, 40, 88, 88]], 9);
    expect(new Set(one)).toEqual(new Set([0, 1]));
    expect(one).toEqual(stated([[40, 40, 88, 88]], 9));
  });
});

const training: AtssTraining = {
  anchors,
  coder: { kind: "delta", means: [0, 0, 0, 0], stds: [0.1, 0.1, 0.2, 0.2], legacyBoxes: false },
  assigner: { candidates: 9 },
  focal: { gamma: 2, alpha: 0.25 },
  boxWeight: 2,
};

function truthOf(boxes: readonly Corners[]): Truth {
  const labels = fromTypedArray(
    BigInt64Array.from(boxes, (_, i) => BigInt(i % 2)),
    [boxes.length],
  );
  return { boxes: rowsOf(boxes, 4), labels, ignored: null, size: [side, side], padded: [side, side] };
}

type Maps = ReturnType<typeof mapsOf>[number];

/** Maps of one picture and two classes. */
const mapsOf = (dtype: "float32" | "float64") =>
  sizes.map(([height, width]) => {
    const map = (channels: number): Tensor => {
      const made = rand([1, channels, height, width], { dtype }).sub(0.5).detach();
      made.requiresGrad = true;
      return made;
    };
    return { cls: map(2), box: map(4), centerness: map(1) };
  });

describe("ATSS's losses", () => {
  test("centre-ness is 1 in the middle and falls towards the sides", () => {
    scope(() => {
      const boxes = rowsOf(
        [
          [0, 0, 100, 100],
          [30, 0, 130, 100],
        ],
        4,
      );
      const same = rowsOf(
        [
          [40, 40, 60, 60],
          [40, 40, 60, 60],
        ],
        4,
      );
      const values = centernessTargets({ anchors: same, boxes }).toTypedArray() as Float32Array;
      expect(values[0]).toBeCloseTo(1, 6);
      expect(values[1]).toBeCloseTo(Math.sqrt(20 / 80), 6);
    });
  });

  test("gradients agree with differences", () => {
    scope(() => {
      const raw = atssTargets(training, sizes, [truthOf(randomBoxes(seeded(3), 3, side))]);
      const wide = {
        anchors: raw.anchors.to({ dtype: "float64" }),
        boxes: raw.boxes.to({ dtype: "float64" }),
      };
      const maps = mapsOf("float64");
      const [fine, middle, coarse] = maps as [Maps, Maps, Maps];
      expect(numbersOf(raw.levels)).toContain(1);
      const total = (cls: Tensor, box: Tensor, centerness: Tensor): Tensor =>
        Object.values(
          atssLosses(training, [fine, { cls, box, centerness }, coarse], { ...raw, ...wide }),
        ).reduce((sum, loss) => sum.add(loss));
      gradcheck(total, [middle.cls, middle.box, middle.centerness]);
    });
  });

  test("are finite, with gradients, where nothing is to be found", () => {
    scope(() => {
      const maps = mapsOf("float32");
      const losses = atssLosses(training, maps, atssTargets(training, sizes, [truthOf([])]));
      expect(Object.keys(losses)).toHaveLength(3 * sizes.length);
      for (const [name, loss] of Object.entries(losses)) {
        if (!name.startsWith("loss_cls")) expect(loss.item(), name).toBe(0);
      }
      backward(Object.values(losses).reduce((sum, loss) => sum.add(loss)));
      for (const { cls, box } of maps) {
        expect(Number(cls.grad?.abs().sum().item())).toBeGreaterThan(0);
        expect(box.grad?.abs().sum().item()).toBe(0);
      }
    });
  });
});
