import { type Cells, sortIntoCells } from "./cells.js";
import {
  placesOf,
  type ResultColumns,
  type TruthColumns,
  toResultColumns,
  toTruthColumns,
} from "./columns.js";
import { type Overlaps, overlapsOf } from "./overlaps.js";
import type { GroundTruth, Result } from "./types.js";

/** Objects and detections by image, all classes together, for figures that look across classes. */
export interface ByImage {
  readonly truth: TruthColumns;
  readonly results: ResultColumns;
  /** One cell for each image. */
  readonly cells: Cells;
  readonly overlaps: Overlaps;
  /** Class of each object and detection, by its place in `classes`; -1 for others. */
  readonly objectClass: Int32Array;
  readonly resultClass: Int32Array;
  readonly classes: readonly { readonly id: number; readonly name: string }[];
}

/** Classes by id, and everything sorted by image; detections surest first, equals in the file's order. */
export function sortByImage(
  givenTruth: GroundTruth | TruthColumns,
  givenResults: readonly Result[] | ResultColumns,
  type: "bbox" | "segm",
): ByImage {
  const [truth, results] = [toTruthColumns(givenTruth), toResultColumns(givenResults)];
  const classes = [...truth.categories].sort((a, b) => a.id - b.id);
  const categoryIds = classes.map(({ id }) => id);
  const imageIds = [...new Set(truth.images.map(({ id }) => id))].sort((a, b) => a - b);
  const cells = sortIntoCells(truth, results, { imageIds, categoryIds, useCats: false, mixed: true });
  return {
    truth,
    results,
    cells,
    overlaps: overlapsOf(truth, results, type, { wanted: cells.results }),
    objectClass: placesOf(truth.category, categoryIds),
    resultClass: placesOf(results.category, categoryIds),
    classes,
  };
}

/** A number option that has to lie in (0, 1]. */
export function checkIou(name: string, value: number): void {
  if (!(value > 0 && value <= 1))
    throw new RangeError(`${name}: expected a number above 0, up to 1, got ${value}`);
}
