import type { Annotation, GroundTruth, Result, Segmentation } from "./types.js";

/** Ground truth as columns: object i has the i-th entry of each, in the file's order. */
export interface TruthColumns {
  readonly images: readonly { readonly id: number; readonly width?: number; readonly height?: number }[];
  readonly categories: readonly { readonly id: number; readonly name: string }[];
  readonly count: number;
  readonly id: Float64Array;
  readonly image: Float64Array;
  readonly category: Float64Array;
  /** `[4 * count]` x, y, width, height in pixels */
  readonly box: Float64Array;
  /** Pixels. */
  readonly area: Float64Array;
  /** 1 for a crowd. */
  readonly crowd: Uint8Array;
  readonly masks?: readonly (Segmentation | undefined)[] | undefined;
}

/** Detections as columns: detection i has the i-th entry of each, in the file's order. */
export interface ResultColumns {
  readonly count: number;
  /** Ids. */
  readonly image: Float64Array;
  readonly category: Float64Array;
  readonly score: Float64Array;
  /** `[4 * count]` x, y, width, height in pixels; left out where masks alone were found. */
  readonly box?: Float64Array | undefined;
  readonly masks?: readonly (Segmentation | undefined)[] | undefined;
}

/** What is wrong with an entry of a list; `fault` says field, what was expected, what came. */
export class EntryError extends RangeError {
  override readonly name = "EntryError";
  constructor(
    readonly list: string,
    readonly index: number,
    readonly fault: string,
  ) {
    super(`${list}[${index}]: ${fault}`);
  }
}

const shown = (value: unknown): string => {
  if (typeof value === "number" || value === undefined) return String(value);
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
};

const faultOfNumber = (field: string, value: unknown): string | null =>
  typeof value === "number" && Number.isFinite(value)
    ? null
    : `${field}: expected a finite number, got ${value === undefined ? "nothing" : shown(value)}`;

function faultOfBox(box: unknown): string | null {
  const list = Array.isArray(box) ? (box as unknown[]) : null;
  if (list?.length !== 4 || !list.every((value) => Number.isFinite(value)))
    return `bbox: expected four finite numbers, [x, y, width, height], got ${shown(box)}`;
  const [, , width, height] = list as number[];
  if ((width as number) < 0 || (height as number) < 0)
    return `bbox: expected a width and height of 0 or more, got ${shown(box)}`;
  return null;
}

/** Whether there is a mask; boxes alone are often written with an empty list of polygons. */
export const hasMask = ({ segmentation }: { readonly segmentation?: Segmentation | undefined }): boolean =>
  segmentation !== undefined &&
  segmentation !== null &&
  !(Array.isArray(segmentation) && segmentation.length === 0);

/** What is wrong with the form of a mask, or null. */
export function faultOfMask(mask: unknown): string | null {
  const field = "segmentation";
  if (mask === undefined) return `${field}: expected a mask, got none`;
  if (Array.isArray(mask)) {
    const well = (polygon: unknown): boolean =>
      Array.isArray(polygon) &&
      (polygon.length >= 6 || polygon.length === 4) &&
      polygon.length % 2 === 0 &&
      polygon.every((value) => Number.isFinite(value));
    if (mask.length > 0 && mask.every(well)) return null;
    return `${field}: expected polygons of three or more points [x, y, x, y, ...], got ${shown(mask)}`;
  }
  const { size, counts } = (mask ?? {}) as { size?: unknown; counts?: unknown };
  const whole = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
  if (!(Array.isArray(size) && size.length === 2 && size.every(whole)))
    return `${field}: expected polygons, or run lengths with "size": [height, width], got ${shown(mask)}`;
  if (typeof counts === "string" || (Array.isArray(counts) && counts.every(whole))) return null;
  return `${field}: expected "counts" as text or a list of whole numbers, got ${shown(counts)}`;
}

function fillBox(box: Float64Array, i: number, values: readonly number[]): void {
  box[4 * i] = values[0] as number;
  box[4 * i + 1] = values[1] as number;
  box[4 * i + 2] = values[2] as number;
  box[4 * i + 3] = values[3] as number;
}

/** Whether a result has a box; pycocotools reads an empty one as none. */
const hasBox = ({ bbox }: { readonly bbox?: readonly number[] | undefined }): boolean =>
  bbox !== undefined && bbox !== null && bbox.length !== 0;

/**
 * Results as columns. All have what the first has, a box or a mask (pycocotools' loadRes).
 * @throws EntryError at the first entry that is not well
 */
export function columnsOfResults(results: readonly Result[]): ResultColumns {
  const count = results.length;
  const image = new Float64Array(count);
  const category = new Float64Array(count);
  const score = new Float64Array(count);
  const first = results[0];
  const boxed = first === undefined || typeof first !== "object" || first === null || hasBox(first);
  const box = boxed ? new Float64Array(4 * count) : undefined;
  let masks: (Segmentation | undefined)[] | undefined;
  for (let i = 0; i < count; i++) {
    const one = results[i] as Result;
    const fault = faultOfResult(one, boxed);
    if (fault !== null) throw new EntryError("results", i, fault);
    image[i] = one.image_id;
    category[i] = one.category_id;
    score[i] = one.score;
    if (box !== undefined) fillBox(box, i, one.bbox as readonly number[]);
    if (!hasMask(one)) continue;
    masks ??= new Array<Segmentation | undefined>(count).fill(undefined);
    masks[i] = one.segmentation;
  }
  return { count, image, category, score, box, masks };
}

/** What is wrong with one result, or null. */
export function faultOfResult(one: Result, boxed: boolean): string | null {
  if (typeof one !== "object" || one === null) return `expected an object, got ${shown(one)}`;
  const { image_id, category_id, score, bbox } = one;
  // One test for the usual case: every result of hundreds of thousands comes through here.
  const numbers = Number.isFinite(image_id) && Number.isFinite(category_id) && Number.isFinite(score);
  if (!numbers)
    return (
      faultOfNumber("image_id", image_id) ??
      faultOfNumber("category_id", category_id) ??
      faultOfNumber("score", score)
    );
  if (boxed)
    return hasBox(one) || !hasMask(one) ? faultOfBox(bbox) : "bbox: expected one, as the first entry has";
  return !hasMask(one) ? "segmentation: expected one, as the first entry has" : null;
}

/** What is wrong with one annotation, or null. Its mask is looked at where it is used. */
export function faultOfAnnotation(one: Annotation): string | null {
  if (typeof one !== "object" || one === null) return `expected an object, got ${shown(one)}`;
  return (
    faultOfNumber("image_id", one.image_id) ??
    faultOfNumber("category_id", one.category_id) ??
    faultOfNumber("area", one.area) ??
    faultOfBox(one.bbox)
  );
}

/**
 * Ground truth as columns.
 * @throws EntryError at the first annotation that is not well
 */
export function columnsOfTruth({ images, categories, annotations }: GroundTruth): TruthColumns {
  const count = annotations.length;
  const [id, image, category, area] = [0, 0, 0, 0].map(() => new Float64Array(count)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const box = new Float64Array(4 * count);
  const crowd = new Uint8Array(count);
  let masks: (Segmentation | undefined)[] | undefined;
  for (let i = 0; i < count; i++) {
    const one = annotations[i] as GroundTruth["annotations"][number];
    const fault = faultOfAnnotation(one);
    if (fault !== null) throw new EntryError("annotations", i, fault);
    // Only an id of 0 means something to evaluation; an annotation without one is like any other.
    id[i] = one.id ?? Number.NaN;
    image[i] = one.image_id;
    category[i] = one.category_id;
    area[i] = one.area;
    crowd[i] = one.iscrowd === 1 ? 1 : 0;
    fillBox(box, i, one.bbox);
    if (!hasMask(one)) continue;
    masks ??= new Array<Segmentation | undefined>(count).fill(undefined);
    masks[i] = one.segmentation;
  }
  return { images, categories, count, id, image, category, box, area, crowd, masks };
}

export const isColumns = <T extends object>(given: T | readonly unknown[]): given is T =>
  !Array.isArray(given);

/** Detections in either form, as columns. */
export const toResultColumns = (results: readonly Result[] | ResultColumns): ResultColumns =>
  isColumns<ResultColumns>(results) ? results : columnsOfResults(results);

/** Ground truth in either form, as columns. */
export const toTruthColumns = (truth: GroundTruth | TruthColumns): TruthColumns =>
  "annotations" in truth ? columnsOfTruth(truth) : truth;

/** Ids of `of` as their places in `ids`; -1 for others. */
export function placesOf(of: Float64Array, ids: readonly number[]): Int32Array {
  const places = new Int32Array(of.length);
  const most = ids.length === 0 ? 0 : (ids[ids.length - 1] as number);
  const dense = ids.every((id) => Number.isInteger(id) && id >= 0) && most < 1 << 22;
  if (dense) {
    const table = new Int32Array(most + 1).fill(-1);
    for (const [place, id] of ids.entries()) table[id] = place;
    for (let i = 0; i < of.length; i++) {
      const id = of[i] as number;
      places[i] = id >= 0 && id <= most && Number.isInteger(id) ? (table[id] as number) : -1;
    }
    return places;
  }
  const table = new Map(ids.map((id, place) => [id, place]));
  for (let i = 0; i < of.length; i++) places[i] = table.get(of[i] as number) ?? -1;
  return places;
}
