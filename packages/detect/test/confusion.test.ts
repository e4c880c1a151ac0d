import { expect, test } from "vitest";
import type { DetectionDataset } from "../src/data/types.js";
import { confusionMatrix } from "../src/report/confusion.js";

const object = (label: number, x: number) => ({
  id: x,
  label,
  box: [x, 0, x + 10, 10] as const,
  crowd: false,
  area: 100,
});
const found = (label: number, x: number, score: number) => ({
  label,
  box: [x, 0, x + 10, 10] as const,
  score,
});

test("confusionMatrix pairs the surest first, and counts what was missed and what was nothing", () => {
  const dataset: DetectionDataset = {
    name: "made",
    categories: [
      { id: 1, name: "a" },
      { id: 2, name: "b" },
    ],
    images: [
      { id: 1, file: "x", width: 99, height: 99, objects: [object(0, 0), object(1, 30), object(1, 60)] },
    ],
  };
  const detections = [found(0, 0, 0.9), found(1, 1, 0.8), found(0, 31, 0.7), found(1, 60, 0.1)];
  expect(confusionMatrix(dataset, [{ image: 0, detections }])).toEqual([
    [1, 0, 0],
    [1, 0, 1],
    [0, 1, 0],
  ]);
});
