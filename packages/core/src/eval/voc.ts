import {
  placesOf,
  type ResultColumns,
  type TruthColumns,
  toResultColumns,
  toTruthColumns,
} from "./columns.js";
import { checkIou } from "./pairs.js";
import { countingSort, sortByScore } from "./sort.js";
import type { GroundTruth, Result } from "./types.js";

export interface VocOptions {
  /** Overlap at which a detection is right; 0.5 unless told. */
  readonly iou?: number | undefined;
  /** true: boxes include their last pixel, so that a width is one more, as in VOC's own kit. */
  readonly wholePixels?: boolean | undefined;
}

/** Figures of one class, 0-1; -1 where it has no objects. */
export interface VocClass {
  readonly id: number;
  readonly name: string;
  /** Mean of the best precisions at recalls of 0, 0.1 ... 1 (VOC 2007). */
  readonly ap11: number;
  /** Area under the curve (VOC 2010 and later). */
  readonly ap: number;
  readonly objects: number;
  readonly detections: number;
  readonly truePositives: number;
  readonly falsePositives: number;
}

export interface VocEvaluation {
  /** Means over classes with objects, -1 without any. */
  readonly ap11: number;
  readonly ap: number;
  readonly classes: readonly VocClass[];
}

/** Intersection over union of boxes x, y, width, height; `more` is what a width in pixels lacks. */
function overlapOf(a: Float64Array, p: number, b: Float64Array, q: number, more: number): number {
  const [ax, ay, aw, ah] = [a[p], a[p + 1], a[p + 2], a[p + 3]] as [number, number, number, number];
  const [bx, by, bw, bh] = [b[q], b[q + 1], b[q + 2], b[q + 3]] as [number, number, number, number];
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx) + more;
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by) + more;
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / ((aw + more) * (ah + more) + (bw + more) * (bh + more) - shared);
}

/** Right (1), wrong (0) or not counted (-1), one after the other, surest first. */
type Outcomes = Int8Array;

/** Each detection is held against the object that it overlaps most, taken or not. */
function judge(
  truth: TruthColumns,
  results: ResultColumns & { readonly box: Float64Array },
  detections: Int32Array,
  objectsOf: (detection: number) => Int32Array,
  { iou, more }: { readonly iou: number; readonly more: number },
  taken: Uint8Array,
): Outcomes {
  return Int8Array.from(detections, (detection) => {
    let best = 0;
    let match = -1;
    for (const object of objectsOf(detection)) {
      const overlap = overlapOf(results.box, 4 * detection, truth.box, 4 * object, more);
      if (overlap <= best) continue;
      best = overlap;
      match = object;
    }
    if (match < 0 || best < iou) return 0;
    if (truth.crowd[match] === 1) return -1;
    if (taken[match] === 1) return 0;
    taken[match] = 1;
    return 1;
  });
}

/** AP of outcomes among so many objects, at 11 recalls and over all. */
export function vocAp(outcomes: ArrayLike<number>, objects: number): { ap11: number; ap: number } {
  const precision: number[] = [];
  let [right, wrong] = [0, 0];
  for (let i = 0; i < outcomes.length; i++) {
    if (outcomes[i] === 1) precision.push(++right / (right + wrong));
    else if (outcomes[i] === 0) wrong++;
  }
  for (let i = precision.length - 1; i > 0; i--)
    precision[i - 1] = Math.max(precision[i - 1] as number, precision[i] as number);
  const ap = precision.reduce((sum, value) => sum + value, 0) / objects;
  let ap11 = 0;
  for (let t = 0; t <= 10; t++) {
    const place = precision.findIndex((_, i) => (i + 1) / objects >= t / 10);
    ap11 += place < 0 ? 0 : (precision[place] as number) / 11;
  }
  return { ap11, ap };
}

const meanOver = (values: readonly number[]): number => {
  const known = values.filter((value) => value >= 0);
  return known.length === 0 ? -1 : known.reduce((sum, value) => sum + value, 0) / known.length;
};

/**
 * Average precision of boxes as PASCAL VOC counts it, at one overlap: all detections count, a second one of an object
 * is wrong, and between equal scores the file's order decides. Objects marked `iscrowd` are VOC's difficult ones: they
 * count neither way.
 * @throws EntryError at an entry that is not well
 * @throws RangeError for results without boxes
 */
export function evaluateVoc(
  givenTruth: GroundTruth | TruthColumns,
  givenResults: readonly Result[] | ResultColumns,
  { iou = 0.5, wholePixels = false }: VocOptions = {},
): VocEvaluation {
  checkIou("iou", iou);
  const [truth, { box, ...columns }] = [toTruthColumns(givenTruth), toResultColumns(givenResults)];
  if (box === undefined) throw new RangeError("VOC's figures: expected results with boxes, got masks alone");
  const results = { ...columns, box };
  const categories = [...truth.categories].sort((a, b) => a.id - b.id);
  const images = [...new Set(truth.images.map(({ id }) => id))].sort((a, b) => a - b);
  const cellsOf = ({ image, category }: TruthColumns | ResultColumns): Int32Array => {
    const [places, labels] = [
      placesOf(image, images),
      placesOf(
        category,
        categories.map(({ id }) => id),
      ),
    ];
    return places.map((place, i) =>
      place < 0 || (labels[i] as number) < 0 ? -1 : (labels[i] as number) * images.length + place,
    );
  };
  const known = (cell: Int32Array): Int32Array =>
    Int32Array.from(cell.keys()).filter((i) => (cell[i] as number) >= 0);
  const [objectCell, resultCell] = [cellsOf(truth), cellsOf(results)];
  const objects = countingSort(known(objectCell), objectCell, categories.length * images.length);
  const objectsOf = (detection: number): Int32Array => {
    const cell = resultCell[detection] as number;
    return objects.order.subarray(objects.start[cell], objects.start[cell + 1]);
  };
  const label = resultCell.map((cell) => Math.floor(cell / images.length));
  const byClass = countingSort(sortByScore(known(resultCell), results.score), label, categories.length);
  const taken = new Uint8Array(truth.count);
  const classes = categories.map(({ id, name }, k): VocClass => {
    const own = objects.order.subarray(
      objects.start[k * images.length],
      objects.start[(k + 1) * images.length],
    );
    const count = own.reduce((sum, object) => sum + (truth.crowd[object] === 1 ? 0 : 1), 0);
    const detections = byClass.order.subarray(byClass.start[k], byClass.start[k + 1]);
    const outcomes = judge(truth, results, detections, objectsOf, { iou, more: wholePixels ? 1 : 0 }, taken);
    return {
      id,
      name,
      ...(count === 0 ? { ap11: -1, ap: -1 } : vocAp(outcomes, count)),
      objects: count,
      detections: detections.length,
      truePositives: outcomes.reduce((sum, one) => sum + (one === 1 ? 1 : 0), 0),
      falsePositives: outcomes.reduce((sum, one) => sum + (one === 0 ? 1 : 0), 0),
    };
  });
  return {
    ap11: meanOver(classes.map(({ ap11 }) => ap11)),
    ap: meanOver(classes.map(({ ap }) => ap)),
    classes,
  };
}
