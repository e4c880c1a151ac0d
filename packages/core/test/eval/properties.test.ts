import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  analyseErrors,
  confusionMatrix,
  evaluateCoco,
  evaluateVoc,
  type GroundTruth,
  precisionRecall,
  type Result,
} from "../../src/eval/index.js";

const side = fc.integer({ min: 1, max: 120 });
const place = fc.integer({ min: 0, max: 80 });
const box = fc.tuple(place, place, side, side);
const label = fc.integer({ min: 1, max: 3 });
const image = fc.integer({ min: 1, max: 4 });

const truth = fc
  .array(fc.record({ image_id: image, category_id: label, bbox: box, crowd: fc.nat(9) }), { maxLength: 14 })
  .map(
    (objects): GroundTruth => ({
      images: [1, 2, 3, 4].map((id) => ({ id })),
      categories: [1, 2, 3].map((id) => ({ id, name: `c${id}` })),
      annotations: objects.map(({ crowd, ...own }, i) => ({
        ...own,
        id: i + 1,
        area: own.bbox[2] * own.bbox[3],
        iscrowd: crowd === 0 ? 1 : 0,
      })),
    }),
  );

/** Detections, some near objects, of scores that all differ. */
const detections = (of: GroundTruth): fc.Arbitrary<Result[]> => {
  const free = fc.record({ image_id: image, category_id: label, bbox: box });
  const near = fc.tuple(fc.nat(), fc.tuple(fc.nat(9), fc.nat(9))).map(([i, [dx, dy]]) => {
    const own = of.annotations[i % Math.max(1, of.annotations.length)];
    const [x, y, w, h] = (own?.bbox ?? [0, 0, 1, 1]) as [number, number, number, number];
    const bbox = [x + dx, y + dy, w, h];
    return { image_id: own?.image_id ?? 1, category_id: own?.category_id ?? 1, bbox };
  });
  return fc
    .array(fc.oneof(free, near), { maxLength: 30 })
    .chain((found) =>
      fc
        .uniqueArray(fc.integer({ min: 0, max: 9999 }), { minLength: found.length, maxLength: found.length })
        .map((scores) => found.map((own, i) => ({ ...own, score: (scores[i] as number) / 10000 }))),
    );
};

const both = truth.chain((own) => fc.tuple(fc.constant(own), detections(own)));
const shuffled = both.chain(([own, found]) =>
  fc.tuple(
    fc.constant(own),
    fc.constant(found),
    fc.shuffledSubarray(found, { minLength: found.length, maxLength: found.length }),
  ),
);

describe("evaluation", () => {
  test("the order of results of different scores changes nothing", () => {
    fc.assert(
      fc.property(shuffled, ([own, found, mixed]) => {
        expect(evaluateCoco(own, mixed).stats).toEqual(evaluateCoco(own, found).stats);
        expect(evaluateVoc(own, mixed)).toEqual(evaluateVoc(own, found));
        expect(confusionMatrix(own, mixed)).toEqual(confusionMatrix(own, found));
        expect(analyseErrors(own, mixed)).toEqual(analyseErrors(own, found));
      }),
    );
  });

  test("only the order of scores counts", () => {
    fc.assert(
      fc.property(both, ([own, found]) => {
        const other = found.map((one) => ({ ...one, score: one.score * 100 - 3 }));
        expect(evaluateCoco(own, other).stats).toEqual(evaluateCoco(own, found).stats);
      }),
    );
  });

  test("the objects themselves, found with certainty, give 1 wherever there are any", () => {
    fc.assert(
      fc.property(truth, (own) => {
        // Crowds are not to be found.
        const objects = own.annotations.filter(({ iscrowd }) => iscrowd === 0);
        const found = objects.map(({ image_id, category_id, bbox }) => ({
          image_id,
          category_id,
          bbox,
          score: 1,
        }));
        const { stats, classes } = evaluateCoco({ ...own, annotations: objects }, found);
        const [ap] = stats as [number];
        // pycocotools adds 2.2e-16 to what a precision is divided by.
        expect(ap).toBeCloseTo(objects.length > 0 ? 1 : -1, 12);
        for (const { ap: own, objects: count } of classes) expect(own).toBeCloseTo(count > 0 ? 1 : -1, 12);
        const { errors } = analyseErrors({ ...own, annotations: objects }, found);
        for (const { dAP } of Object.values(errors)) expect(dAP).toBe(0);
      }),
    );
  });

  test("nothing found gives 0", () => {
    fc.assert(
      fc.property(truth, (own) => {
        const { ap, counts } = evaluateCoco(own, []);
        expect(ap).toBe(counts.objects > 0 ? 0 : -1);
      }),
    );
  });

  test("figures lie in 0-1, recall grows with the detections counted, and AP falls with the overlap asked for", () => {
    fc.assert(
      fc.property(both, ([own, found]) => {
        const evaluation = evaluateCoco(own, found, { maxDets: [1, 2, 100] });
        const { stats } = evaluation;
        for (const value of stats) expect(value === -1 || (value >= 0 && value <= 1)).toBe(true);
        expect(stats[6]).toBeLessThanOrEqual(stats[7] as number);
        expect(stats[7]).toBeLessThanOrEqual(stats[8] as number);
        expect(stats[2]).toBeLessThanOrEqual(stats[1] as number);
        for (const { precision } of precisionRecall(evaluation, 0.5))
          for (let i = 1; i < precision.length; i++)
            expect(precision[i]).toBeLessThanOrEqual(precision[i - 1] as number);
      }),
    );
  });

  test("classes measured alone have the figures that they have together", () => {
    fc.assert(
      fc.property(both, ([own, found]) => {
        const together = evaluateCoco(own, found).classes;
        for (const one of together)
          expect(evaluateCoco(own, found, { categoryIds: [one.id] }).classes).toEqual([one]);
      }),
      { numRuns: 40 },
    );
  });

  test("many thresholds at once are as one at a time", () => {
    const iouThresholds = Array.from({ length: 31 }, (_, i) => 0.05 + 0.03 * i);
    fc.assert(
      fc.property(both, ([own, found]) => {
        const { curves } = evaluateCoco(own, found, { iouThresholds });
        const size = curves.recall.length / iouThresholds.length;
        for (const [t, iou] of iouThresholds.entries())
          expect(curves.recall.slice(t * size, (t + 1) * size)).toEqual(
            evaluateCoco(own, found, { iouThresholds: [iou] }).curves.recall,
          );
      }),
      { numRuns: 10 },
    );
  });

  test("every object and every detection above the score is in the confusion matrix once", () => {
    fc.assert(
      fc.property(both, ([own, found]) => {
        const objects = own.annotations.filter(({ iscrowd }) => iscrowd === 0);
        const { matrix } = confusionMatrix({ ...own, annotations: objects }, found, { score: 0.4 });
        const sum = (rows: readonly (readonly number[])[]): number => rows.flat().reduce((x, y) => x + y, 0);
        expect(sum(matrix.slice(0, -1))).toBe(objects.length);
        expect(sum(matrix.map((row) => row.slice(0, -1)))).toBe(
          found.filter(({ score }) => score >= 0.4).length,
        );
      }),
    );
  });
});
