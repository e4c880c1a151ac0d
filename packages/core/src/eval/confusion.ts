import type { ResultColumns, TruthColumns } from "./columns.js";
import { type ByImage, checkIou, sortByImage } from "./pairs.js";
import type { GroundTruth, Result } from "./types.js";

export interface ConfusionOptions {
  readonly type?: "bbox" | "segm" | undefined;
  /** Least score of a detection; 0.3 unless told. */
  readonly score?: number | undefined;
  /** Least overlap of a pair; 0.5 unless told. */
  readonly iou?: number | undefined;
}

/** Which classes were found as which. */
export interface Confusion {
  /** Names of classes by id, and "background" last. */
  readonly names: readonly string[];
  /**
   * `[true class][found class]`, both with the background last: its row counts detections of nothing, its column
   * objects that were missed.
   */
  readonly matrix: readonly (readonly number[])[];
  readonly score: number;
  readonly iou: number;
}

/**
 * How often an object of one class was found as another. Within an image each detection, surest first, takes the free
 * object that it overlaps most, whatever its class; its own class goes first between equals. A detection that lies in
 * a crowd of its class and takes no object is not counted.
 * @throws EntryError at an entry that is not well
 */
export function confusionMatrix(
  truth: GroundTruth | TruthColumns,
  results: readonly Result[] | ResultColumns,
  { type = "bbox", score = 0.3, iou = 0.5 }: ConfusionOptions = {},
): Confusion {
  checkIou("iou", iou);
  const data = sortByImage(truth, results, type);
  const background = data.classes.length;
  const matrix = Array.from({ length: background + 1 }, () => new Array<number>(background + 1).fill(0));
  const add = (row: number, column: number): void => {
    const own = matrix[row] as number[];
    own[column] = (own[column] as number) + 1;
  };
  const taken = new Uint8Array(data.truth.count);
  const { cells } = data;
  const overlaps = new Float64Array(data.truth.count);
  for (let image = 0; image < cells.images; image++) {
    const [first, end] = [cells.objectStart[image] as number, cells.objectStart[image + 1] as number];
    for (let i = cells.resultStart[image] as number; i < (cells.resultStart[image + 1] as number); i++) {
      const detection = cells.results[i] as number;
      if ((data.results.score[detection] as number) < score) break;
      const label = data.resultClass[detection] as number;
      data.overlaps.row(detection, cells.objects, first, end, overlaps);
      const object = choose(data, label, { first, end, iou, overlaps, taken });
      if (object === -1) add(background, label);
      else if (object >= 0) {
        taken[object] = 1;
        add(data.objectClass[object] as number, label);
      }
    }
    for (let i = first; i < end; i++) {
      const object = cells.objects[i] as number;
      if (taken[object] === 0 && data.truth.crowd[object] === 0)
        add(data.objectClass[object] as number, background);
    }
  }
  return { names: [...data.classes.map(({ name }) => name), "background"], matrix, score, iou };
}

interface Choice {
  /** Objects of the image, and overlaps with them from 0. */
  readonly first: number;
  readonly end: number;
  readonly overlaps: Float64Array;
  readonly iou: number;
  readonly taken: Uint8Array;
}

/** The object that a detection takes; -1 for none, -2 when it lies in a crowd. */
function choose(
  { cells, truth, objectClass }: ByImage,
  label: number,
  { first, end, overlaps, iou, taken }: Choice,
): number {
  let match = -1;
  let best = 0;
  let inCrowd = false;
  for (let i = first; i < end; i++) {
    const object = cells.objects[i] as number;
    const overlap = overlaps[i - first] as number;
    if (overlap < iou) continue;
    const same = objectClass[object] === label;
    if (truth.crowd[object] === 1) inCrowd ||= same;
    else if (taken[object] === 0 && (overlap > best || (overlap === best && same))) {
      best = overlap;
      match = object;
    }
  }
  return match < 0 && inCrowd ? -2 : match;
}
