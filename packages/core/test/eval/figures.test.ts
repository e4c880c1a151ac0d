import { describe, expect, test } from "vitest";
import {
  confusionMatrix,
  evaluateCoco,
  evaluateVoc,
  type GroundTruth,
  precisionRecall,
  type Result,
  vocAp,
} from "../../src/eval/index.js";

const truth: GroundTruth = {
  images: [
    { id: 1, width: 20, height: 20 },
    { id: 2, width: 20, height: 20 },
  ],
  categories: [
    { id: 1, name: "cat" },
    { id: 2, name: "dog" },
  ],
  annotations: [
    { id: 1, image_id: 1, category_id: 1, bbox: [0, 0, 10, 10], area: 100 },
    { id: 2, image_id: 1, category_id: 2, bbox: [10, 10, 10, 10], area: 100 },
    { id: 3, image_id: 2, category_id: 1, bbox: [0, 0, 20, 20], area: 400, iscrowd: 1 },
  ],
};
const found = (image_id: number, category_id: number, bbox: readonly number[], score: number): Result => ({
  image_id,
  category_id,
  bbox,
  score,
});

describe("confusion", () => {
  test("counts pairs, detections of nothing and missed objects", () => {
    const results = [
      found(1, 2, [0, 0, 10, 10], 0.9), // the cat, as a dog
      found(1, 1, [0, 0, 10, 9], 0.8), // the cat again: taken
      found(1, 2, [10, 10, 10, 10], 0.2), // too unsure
      found(2, 1, [5, 5, 5, 5], 0.7), // in the crowd of cats: not counted
      found(2, 2, [5, 5, 5, 5], 0.7), // no dog there
    ];
    const { names, matrix } = confusionMatrix(truth, results);
    expect(names).toEqual(["cat", "dog", "background"]);
    expect(matrix).toEqual([
      [0, 1, 0],
      [0, 0, 1],
      [1, 1, 0],
    ]);
    expect(confusionMatrix(truth, results, { score: 0.1 }).matrix[1]).toEqual([0, 1, 0]);
    expect(confusionMatrix(truth, results, { iou: 0.95, score: 0.85 }).matrix[0]).toEqual([0, 1, 0]);
  });
});

describe("VOC", () => {
  test("AP of right and wrong detections by hand", () => {
    // Precisions 1, 2/3, both at half of the recall.
    const { ap, ap11 } = vocAp([1, 0, 1], 2);
    expect(ap).toBeCloseTo((1 + 2 / 3) / 2, 12);
    expect(ap11).toBeCloseTo((6 * 1 + 5 * (2 / 3)) / 11, 12);
    expect(vocAp([], 3)).toEqual({ ap: 0, ap11: 0 });
  });

  test("a second detection is wrong, a difficult object counts neither way, other classes do not matter", () => {
    const results = [
      found(1, 1, [0, 0, 10, 10], 0.9),
      found(1, 1, [0, 0, 10, 10], 0.8),
      found(2, 1, [0, 0, 20, 20], 0.7),
    ];
    const { classes, ap } = evaluateVoc(truth, results);
    expect(classes[0]).toMatchObject({
      objects: 1,
      detections: 3,
      truePositives: 1,
      falsePositives: 1,
      ap: 1,
    });
    expect(classes[1]).toMatchObject({ objects: 1, detections: 0, ap: 0 });
    expect(ap).toBe(0.5);
  });

  test("refuses masks alone", () => {
    const masks = [
      { image_id: 1, category_id: 1, score: 1, segmentation: { size: [20, 20], counts: [400] } },
    ];
    expect(() => evaluateVoc(truth, masks as never)).toThrow(/expected results with boxes, got masks alone/);
  });
});

describe("COCO", () => {
  test("counts what went in, and results of unknown classes", () => {
    const results = [found(1, 1, [0, 0, 10, 10], 0.9), found(1, 77, [0, 0, 10, 10], 0.9)];
    const { counts, classes, sizes } = evaluateCoco(truth, results);
    expect(counts).toEqual({ images: 2, classes: 2, objects: 2, crowds: 1, detections: 1, unknownClass: 1 });
    expect(classes[0]).toMatchObject({ name: "cat", ar: 1, objects: 1, detections: 1 });
    expect(classes[0]?.ap).toBeCloseTo(1, 12);
    expect(sizes.map(({ name, objects }) => [name, objects])).toEqual([
      ["all", 2],
      ["small", 2],
      ["medium", 0],
      ["large", 0],
    ]);
  });

  test("curves of classes with objects", () => {
    const evaluation = evaluateCoco(truth, [
      found(1, 1, [0, 0, 10, 10], 0.5),
      found(1, 1, [10, 0, 5, 5], 0.9),
    ]);
    const [cat, dog] = precisionRecall(evaluation, 0.5);
    expect(cat).toMatchObject({ name: "cat", iou: 0.5 });
    expect(new Set(cat?.precision)).toEqual(new Set([0.5]));
    expect([cat?.score[0], cat?.score[1]]).toEqual([0.9, 0.5]);
    expect(dog?.precision.every((value) => value === 0)).toBe(true);
    expect(() => precisionRecall(evaluation, 0.51)).toThrow(/iou: expected one of 0.5, 0.55/);
  });

  test("results of an unknown image are refused, with how many", () => {
    const results = [
      found(1, 1, [0, 0, 1, 1], 1),
      found(9, 1, [0, 0, 1, 1], 1),
      found(8, 1, [0, 0, 1, 1], 1),
    ];
    expect(() => evaluateCoco(truth, results)).toThrow(
      /results\[1\]: image_id: expected one of the ground truth's 2 images, got 9 \(so for 2 results in all\)/,
    );
  });

  test.each([
    [{ maxDets: [0] }, /maxDets: expected positive integers, got \[0\]/],
    [{ maxDets: [] }, /maxDets/],
    [{ iouThresholds: [1.5] }, /iouThresholds: expected numbers from 0 to 1/],
    [{ iouThresholds: new Array(40).fill(0.5) }, /iouThresholds: expected at most 31, got 40/],
    [{ recallThresholds: [0.5, 0.1] }, /recallThresholds: expected ascending/],
    [{ areas: [["odd", 5, 1]] as never }, /areas: expected ranges/],
  ])("refuses options %j", (options, message) => {
    expect(() => evaluateCoco(truth, [], options)).toThrow(message);
  });

  describe("masks", () => {
    const square = [[0, 0, 10, 0, 10, 10, 0, 10]];
    const masked = (segmentation: unknown): GroundTruth => ({
      ...truth,
      annotations: [{ ...truth.annotations[0], segmentation } as never],
    });
    const result = (segmentation: unknown): Result[] => [
      { image_id: 1, category_id: 1, score: 1, segmentation } as never,
    ];
    const evaluate = (object: unknown, own: unknown): number =>
      evaluateCoco(masked(object), result(own), { type: "segm" }).ap;

    test("polygons and run lengths of one shape are equal", () => {
      const runs = { size: [20, 20], counts: [0, ...Array(9).fill([10, 10]).flat(), 10, 210] };
      expect(evaluate(square, square)).toBeCloseTo(1, 12);
      expect(evaluate(square, runs)).toBeCloseTo(1, 12);
    });

    test("results with boxes alone count as the boxes' area", () => {
      const boxes = [found(1, 1, [0, 0, 10, 10], 1)];
      expect(evaluateCoco(masked(square), boxes, { type: "segm" }).ap).toBeCloseTo(1, 12);
    });

    test.each([
      [[], square, /annotations\[0\]: segmentation: expected a mask, got none/],
      [[[1, 2]], square, /annotations\[0\]: segmentation: expected polygons of three or more points/],
      [
        square,
        { size: [20, 20], counts: [5] },
        /results\[0\]: segmentation: counts: expected 20 x 20 = 400 pixels/,
      ],
      [
        square,
        { size: [10, 20], counts: [200] },
        /results\[0\]: segmentation: expected a mask of the image's size/,
      ],
      [
        square,
        { size: [20, 20], counts: "\u0001" },
        /results\[0\]: segmentation: counts: not COCO's run-length/,
      ],
      [
        square,
        { size: [20, 20], counts: 5 },
        /results\[0\]: segmentation: expected "counts" as text or a list/,
      ],
      [square, { counts: "0" }, /results\[0\]: segmentation: expected polygons, or run lengths with "size"/],
    ])("refuses %j against %j", (object, own, message) => {
      expect(() => evaluate(object, own)).toThrow(message);
    });
  });
});
