import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  anchorGrid,
  type DecodeSpec,
  decode,
  iouOfRows,
  levelSizes,
  nms,
  octaveScales,
  softNms,
  validPriors,
} from "../src/index.js";

const boxes = fc
  .array(
    fc.tuple(
      fc.integer({ min: 0, max: 60 }),
      fc.integer({ min: 0, max: 60 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 40 }),
    ),
    {
      minLength: 1,
      maxLength: 30,
    },
  )
  .map((rows) => Float32Array.from(rows.flatMap(([x, y, w, h]) => [x, y, x + w, y + h])));

describe("nms", () => {
  test("what stays overlaps little, and what goes overlaps something better", () => {
    fc.assert(
      fc.property(boxes, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (rows, stream) => {
        const scores = Float32Array.from({ length: rows.length / 4 }, () => stream.next().value as number);
        const kept = nms(rows, scores, { iouThreshold: 0.5 });
        for (const [i, a] of kept.entries())
          for (const b of kept.slice(0, i)) expect(iouOfRows(rows, a, rows, b)).toBeLessThanOrEqual(0.5);
        for (let row = 0; row < scores.length; row++) {
          if (kept.includes(row)) continue;
          const better = kept.filter((other) => (scores[other] as number) >= (scores[row] as number));
          expect(better.some((other) => iouOfRows(rows, row, rows, other) > 0.5)).toBe(true);
        }
      }),
    );
  });

  test("soft suppression lowers scores and loses only what falls under the least", () => {
    const rows = Float32Array.of(0, 0, 10, 10, 0, 0, 10, 9, 50, 50, 60, 60);
    const kept = softNms(rows, [0.9, 0.8, 0.7], { method: "linear", iouThreshold: 0.5, minScore: 0.01 });
    expect(kept.map(({ row }) => row)).toEqual([0, 2, 1]);
    expect(kept[2]?.score).toBeCloseTo(0.8 * 0.1, 5);
  });
});

describe("priors", () => {
  const spec = {
    kind: "anchors",
    strides: [8, 16],
    ratios: [0.5, 1, 2],
    scales: octaveScales(4, 3),
  } as const;

  test("anchors of a level lie around its cells' corners, of one area for each scale", () => {
    const grid = anchorGrid(spec, 1, [2, 3]);
    expect(grid.length).toBe(2 * 3 * 9 * 4);
    const areas = Array.from({ length: 9 }, (_, i) => {
      const [x1, y1, x2, y2] = grid.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
      expect([(x1 + x2) / 2, (y1 + y2) / 2]).toEqual([0, 0]);
      return Math.sqrt((x2 - x1) * (y2 - y1));
    });
    for (const [i, area] of areas.entries()) expect(area).toBeCloseTo(16 * (spec.scales[i % 3] as number), 3);
  });

  test("cells over padding only do not count", () => {
    expect([...validPriors(1, 8, [3, 3], [16, 9])]).toEqual([1, 1, 0, 1, 1, 0, 0, 0, 0]);
    expect(levelSizes([8, 16, 32], [100, 33])).toEqual([
      [13, 5],
      [7, 3],
      [4, 2],
    ]);
  });
});

describe("decode", () => {
  const spec: DecodeSpec = {
    priors: { kind: "points", strides: [8], offset: 0.5 },
    coder: { kind: "distance" },
    postprocess: { perLevel: 10, scoreThreshold: 0.1, iouThreshold: 0.5, maxPerImage: 2 },
  };
  const frame = { inputWidth: 32, inputHeight: 16, scaleX: 2, scaleY: 1 };
  const candidates = {
    classes: 2,
    priors: Int32Array.of(1, 1, 6),
    scores: Float32Array.of(0.9, 0, 0.8, 0.3, 0.05, 0.2),
    boxes: Float32Array.of(4, 4, 4, 4, 4, 4, 4, 4, 100, 1, 1, 100),
  };

  test("brings boxes to the original's pixels, clips them, and keeps the best of each class", () => {
    const found = decode(spec, [[2, 4]], candidates, frame);
    expect(found).toEqual([
      { box: [4, 0, 8, 8], label: 0, score: expect.closeTo(0.9) },
      { box: [4, 0, 8, 8], label: 1, score: expect.closeTo(0.3) },
    ]);
    const all = decode(spec, [[2, 4]], candidates, frame, { maxPerImage: 10 });
    expect(all[2]).toEqual({ box: [0, 11, 10.5, 16], label: 1, score: expect.closeTo(0.2) });
  });

  test("the legacy convention clips to the last pixel, unless told to clip to the edge", () => {
    const corner = (more: Partial<DecodeSpec>) =>
      decode({ ...spec, legacyBoxes: true, ...more }, [[2, 4]], candidates, frame, { maxPerImage: 10 })[2]
        ?.box;
    expect(corner({})?.[3]).toBe(15);
    expect(corner({ clipToEdge: true })?.[3]).toBe(16);
  });

  test("factors count after the threshold", () => {
    const found = decode(spec, [[2, 4]], { ...candidates, factors: Float32Array.of(0.1, 1, 1) }, frame);
    expect(found[0]).toMatchObject({ label: 0, score: expect.closeTo(0.8) });
  });
});
