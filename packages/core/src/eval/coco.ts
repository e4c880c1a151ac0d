import { accumulate, type Curves } from "./accumulate.js";
import { sortIntoCells } from "./cells.js";
import {
  EntryError,
  placesOf,
  type ResultColumns,
  type TruthColumns,
  toResultColumns,
  toTruthColumns,
} from "./columns.js";
import { matchCells } from "./match.js";
import { meanOf } from "./mean.js";
import { overlapsOf } from "./overlaps.js";
import { type EvalOptions, type EvalParams, fillParams, type GroundTruth, type Result } from "./types.js";

/** Figures of one class, 0-1; -1 where it has no objects. */
export interface ClassFigures {
  readonly id: number;
  readonly name: string;
  readonly ap: number;
  readonly ap50: number;
  readonly ap75: number;
  readonly ar: number;
  /** By size class, in the order of `areas`. */
  readonly sizes: readonly SizeFigures[];
  /** Objects to be found (no crowds), and detections, of all scores. */
  readonly objects: number;
  readonly detections: number;
}

/** Figures of one size class, 0-1; -1 where it has no objects. */
export interface SizeFigures {
  readonly name: string;
  readonly ap: number;
  readonly ar: number;
  readonly objects: number;
}

/** How much of what went in. */
export interface EvalCounts {
  readonly images: number;
  readonly classes: number;
  /** Objects of these images and classes without crowds, crowds, and detections. */
  readonly objects: number;
  readonly crowds: number;
  readonly detections: number;
  /** Detections of classes that the ground truth does not know; left out, as by pycocotools. */
  readonly unknownClass: number;
}

export interface CocoEvaluation {
  /**
   * COCO's 12 figures in pycocotools' order: AP; AP50; AP75; AP of small, medium and large; AR at 1, 10 and 100
   * detections; AR of small, medium and large. -1 where nothing decides them.
   */
  readonly stats: readonly number[];
  /** AP at the last of `maxDets`, which `stats[0]` is only where that is 100. */
  readonly ap: number;
  /** By class; none where all classes count as one. */
  readonly classes: readonly ClassFigures[];
  /** By size class, over all classes. */
  readonly sizes: readonly SizeFigures[];
  readonly curves: Curves;
  readonly counts: EvalCounts;
  readonly params: EvalParams;
}

/** Which part of the curves: one threshold or all, one class or all; one size and number of detections. */
interface Slice {
  readonly t?: number | undefined;
  readonly k?: number | undefined;
  readonly a: number;
  readonly m: number;
}

const range = (one: number | undefined, count: number): [number, number] =>
  one === undefined ? [0, count] : [one, one + 1];

function meanPrecision({ precision, shape: [T, R, K, A, M] }: Curves, { t, k, a, m }: Slice): number {
  const [t0, t1] = range(t, T);
  const [k0, k1] = range(k, K);
  const values = new Float64Array((t1 - t0) * R * (k1 - k0));
  let n = 0;
  for (let i = t0; i < t1; i++)
    for (let r = 0; r < R; r++)
      for (let j = k0; j < k1; j++) {
        const value = precision[(((i * R + r) * K + j) * A + a) * M + m] as number;
        if (value > -1) values[n++] = value;
      }
  return meanOf(values, n);
}

function meanRecall({ recall, shape: [T, , K, A, M] }: Curves, { t, k, a, m }: Slice): number {
  const [t0, t1] = range(t, T);
  const [k0, k1] = range(k, K);
  const values = new Float64Array((t1 - t0) * (k1 - k0));
  let n = 0;
  for (let i = t0; i < t1; i++)
    for (let j = k0; j < k1; j++) {
      const value = recall[((i * K + j) * A + a) * M + m] as number;
      if (value > -1) values[n++] = value;
    }
  return meanOf(values, n);
}

/** Place of an overlap among the thresholds, -1 where it is none of them. */
export const thresholdAt = ({ iouThresholds }: EvalParams, iou: number): number =>
  iouThresholds.findIndex((own) => Math.abs(own - iou) < 1e-9);

function summarize(curves: Curves, params: EvalParams): number[] {
  const { areas, maxDets } = params;
  const areaOf = (name: string): number => areas.findIndex(([own]) => own === name);
  const last = maxDets.length - 1;
  const figure = (of: typeof meanPrecision, slice: Slice): number =>
    slice.a >= 0 && slice.m >= 0 && slice.m <= last && slice.t !== -1 ? of(curves, slice) : -1;
  const all = areaOf("all");
  const sizes = ["small", "medium", "large"].map(areaOf);
  return [
    figure(meanPrecision, { a: all, m: maxDets.indexOf(100) }),
    figure(meanPrecision, { t: thresholdAt(params, 0.5), a: all, m: last }),
    figure(meanPrecision, { t: thresholdAt(params, 0.75), a: all, m: last }),
    ...sizes.map((a) => figure(meanPrecision, { a, m: last })),
    ...[0, 1, 2].map((m) => figure(meanRecall, { a: all, m })),
    ...sizes.map((a) => figure(meanRecall, { a, m: last })),
  ];
}

/** Every result is of an image that the ground truth has; pycocotools asserts the same. */
function checkImages(truth: TruthColumns, results: ResultColumns): void {
  const places = placesOf(
    results.image,
    [...new Set(truth.images.map(({ id }) => id))].sort((a, b) => a - b),
  );
  const unknown = places.indexOf(-1);
  if (unknown < 0) return;
  const count = places.reduce((sum, place) => sum + (place < 0 ? 1 : 0), 0);
  throw new EntryError(
    "results",
    unknown,
    `image_id: expected one of the ground truth's ${truth.images.length} images, got ${results.image[unknown]}` +
      (count > 1 ? ` (so for ${count} results in all)` : ""),
  );
}

/** Sorts and matches: what is common to all figures. */
function prepare(
  givenTruth: GroundTruth | TruthColumns,
  givenResults: readonly Result[] | ResultColumns,
  options: EvalOptions,
) {
  const [truth, results] = [toTruthColumns(givenTruth), toResultColumns(givenResults)];
  checkImages(truth, results);
  const ids = { images: truth.images.map(({ id }) => id), categories: truth.categories.map(({ id }) => id) };
  const params = fillParams(ids, options);
  const cells = sortIntoCells(truth, results, params);
  const overlaps = overlapsOf(truth, results, params.type, { wanted: cells.results });
  return { truth, results, params, cells, matches: matchCells(truth, cells, overlaps, params) };
}

/**
 * COCO's metrics, equal to pycocotools' within 1e-15. Results of unknown classes are left out, as there, and
 * counted. Takes the files' own form, or columns where there are many.
 * @throws EntryError at a result of an unknown image, or an entry that is not well
 * @throws RangeError for options that make no sense
 */
export function evaluateCoco(
  givenTruth: GroundTruth | TruthColumns,
  givenResults: readonly Result[] | ResultColumns,
  options: EvalOptions = {},
): CocoEvaluation {
  const { truth, results, params, cells, matches } = prepare(givenTruth, givenResults, options);
  const curves = accumulate(cells, matches, results.score, params);
  const [A, m] = [params.areas.length, params.maxDets.length - 1];
  const all = Math.max(
    0,
    params.areas.findIndex(([name]) => name === "all"),
  );
  const objectsOf = (k: number, a: number): number => matches.objects[k * A + a] as number;
  const sizesOf = (k?: number): SizeFigures[] =>
    params.areas.map(([name], a) => ({
      name,
      ap: meanPrecision(curves, { k, a, m }),
      ar: meanRecall(curves, { k, a, m }),
      objects:
        k === undefined
          ? Array.from({ length: cells.classes }, (_, j) => objectsOf(j, a)).reduce((x, y) => x + y, 0)
          : objectsOf(k, a),
    }));
  const names = new Map(truth.categories.map(({ id, name }) => [id, name]));
  const at = (k: number, iou: number): number => {
    const t = thresholdAt(params, iou);
    return t < 0 ? -1 : meanPrecision(curves, { t, k, a: all, m });
  };
  const classes = (params.useCats ? params.categoryIds : []).map((id, k): ClassFigures => {
    const sizes = sizesOf(k);
    const { ap, ar } = sizes[all] as SizeFigures;
    const detections = (cells.classStart[k + 1] as number) - (cells.classStart[k] as number);
    const name = names.get(id) ?? String(id);
    const objects = objectsOf(k, all);
    return { id, name, ap, ap50: at(k, 0.5), ap75: at(k, 0.75), ar, sizes, objects, detections };
  });
  const sizes = sizesOf();
  return {
    stats: summarize(curves, params),
    ap: (sizes[all] as SizeFigures).ap,
    classes,
    sizes,
    curves,
    counts: countsOf(truth, results, params, cells.objects, cells.results.length),
    params,
  };
}

function countsOf(
  truth: TruthColumns,
  results: ResultColumns,
  params: EvalParams,
  objects: Int32Array,
  detections: number,
): EvalCounts {
  const known = truth.categories.map(({ id }) => id).sort((a, b) => a - b);
  const unknownClass = placesOf(results.category, known).reduce((sum, place) => sum + (place < 0 ? 1 : 0), 0);
  const crowds = objects.reduce((sum, place) => sum + (truth.crowd[place] as number), 0);
  return {
    images: params.imageIds.length,
    classes: params.categoryIds.length,
    objects: objects.length - crowds,
    crowds,
    detections,
    unknownClass,
  };
}
