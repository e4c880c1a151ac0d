import { placesOf, type ResultColumns, type TruthColumns } from "./columns.js";
import { countingSort, sortByScore } from "./sort.js";

/** Objects and detections sorted into cells, one of each class and image: cell = class * images + image. */
export interface Cells {
  /** Classes (1 when all count as one) and images. */
  readonly classes: number;
  readonly images: number;
  /** Places of objects by cell, in the file's order; cell c is `objectStart[c]` to `objectStart[c + 1] - 1`. */
  readonly objects: Int32Array;
  readonly objectStart: Int32Array;
  /** Places of detections by cell, surest first; all of them, before any cut. */
  readonly results: Int32Array;
  readonly resultStart: Int32Array;
  /** Places of detections by class, surest first; between equals the image decides, then the file's order. */
  readonly byClass: Int32Array;
  readonly classStart: Int32Array;
}

export interface CellOptions {
  /** Ids, ascending; what is of others is left out. */
  readonly imageIds: readonly number[];
  readonly categoryIds: readonly number[];
  readonly useCats: boolean;
  /** Where all classes count as one: true keeps an image's detections and objects in the file's order. */
  readonly mixed?: boolean | undefined;
}

interface Keyed {
  readonly image: Int32Array;
  readonly category: Int32Array;
  readonly cell: Int32Array;
  /** Places of what is asked for, in the file's order. */
  readonly kept: Int32Array;
}

function keysOf(
  { image: imageIdOf, category: categoryIdOf, count }: ResultColumns | TruthColumns,
  { imageIds, categoryIds, useCats }: CellOptions,
): Keyed {
  const image = placesOf(imageIdOf, imageIds);
  const category = placesOf(categoryIdOf, categoryIds);
  const cell = useCats ? new Int32Array(count) : image;
  const kept = new Int32Array(count);
  let n = 0;
  for (let i = 0; i < count; i++) {
    if ((image[i] as number) < 0 || (category[i] as number) < 0) continue;
    kept[n++] = i;
    if (useCats) cell[i] = (category[i] as number) * imageIds.length + (image[i] as number);
  }
  return { image, category, cell, kept: kept.subarray(0, n) };
}

/** Sorts everything once; all that follows walks through it in order. */
export function sortIntoCells(truth: TruthColumns, results: ResultColumns, options: CellOptions): Cells {
  const { imageIds, categoryIds, useCats } = options;
  const classes = useCats ? categoryIds.length : 1;
  const [images, cells] = [imageIds.length, classes * imageIds.length];
  // Classes that count as one still come one after the other: it decides between equals.
  const inOrder = ({ kept, category }: Keyed): Int32Array =>
    useCats || options.mixed ? kept : countingSort(kept, category, categoryIds.length).order;
  const own = keysOf(truth, options);
  const objects = countingSort(inOrder(own), own.cell, cells);
  const found = keysOf(results, options);
  const byImage = countingSort(inOrder(found), found.image, images).order;
  const byScore = sortByScore(byImage, results.score);
  const byClass = useCats
    ? countingSort(byScore, found.category, classes)
    : { order: byScore, start: Int32Array.of(0, byScore.length) };
  const sorted = countingSort(byClass.order, found.cell, cells);
  return {
    classes,
    images,
    objects: objects.order,
    objectStart: objects.start,
    results: sorted.order,
    resultStart: sorted.start,
    byClass: byClass.order,
    classStart: byClass.start,
  };
}
