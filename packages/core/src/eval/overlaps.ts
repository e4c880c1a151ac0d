import { EntryError, faultOfMask, type ResultColumns, type TruthColumns } from "./columns.js";
import { areaOf, boundsOf, type Rle, sharedPixels, toRle } from "./rle.js";
import type { Segmentation } from "./types.js";

/** Overlaps of detections with objects, and areas of detections; both are named by their places. */
export interface Overlaps {
  /**
   * Overlap of `detection` with `objects[first]` to `objects[end - 1]`, into `out` from 0: intersection over union;
   * with a crowd, intersection over the detection's area. True when any is above 0.
   */
  row(detection: number, objects: Int32Array, first: number, end: number, out: Float64Array): boolean;
  /** Pixels; decides the size class of a detection that matches nothing. */
  readonly resultArea: Float64Array;
}

const crowdsOf = (truth: TruthColumns, crowds: boolean): Uint8Array =>
  crowds ? truth.crowd : new Uint8Array(truth.count);

function areasOf(boxes: Float64Array): Float64Array {
  const areas = new Float64Array(boxes.length / 4);
  for (let i = 0; i < areas.length; i++)
    areas[i] = (boxes[4 * i + 2] as number) * (boxes[4 * i + 3] as number);
  return areas;
}

/** Overlaps of boxes, rounded as pycocotools does. */
class BoxOverlaps implements Overlaps {
  readonly resultArea: Float64Array;

  constructor(
    readonly objects: Float64Array,
    readonly crowd: Uint8Array,
    readonly results: Float64Array,
    areas?: Float64Array,
  ) {
    this.resultArea = areas ?? areasOf(results);
  }

  row(detection: number, objects: Int32Array, first: number, end: number, out: Float64Array): boolean {
    const { results, objects: truth, crowd } = this;
    const p = 4 * detection;
    const x = results[p] as number;
    const y = results[p + 1] as number;
    const w = results[p + 2] as number;
    const h = results[p + 3] as number;
    let any = false;
    for (let i = first; i < end; i++) {
      const object = objects[i] as number;
      const q = 4 * object;
      const gx = truth[q] as number;
      const gw = truth[q + 2] as number;
      const width = Math.min(w + x, gw + gx) - Math.max(x, gx);
      out[i - first] = 0;
      if (width <= 0) continue;
      const gy = truth[q + 1] as number;
      const gh = truth[q + 3] as number;
      const height = Math.min(h + y, gh + gy) - Math.max(y, gy);
      if (height <= 0) continue;
      const shared = width * height;
      out[i - first] = shared / (crowd[object] === 1 ? w * h : w * h + gw * gh - shared);
      any = true;
    }
    return any;
  }
}

/** A mask with what is asked of it again and again. */
interface Measured {
  readonly rle: Rle;
  readonly area: number;
  /** x, y, width, height */
  readonly bounds: readonly [number, number, number, number];
}

const measure = (rle: Rle): Measured => ({ rle, area: areaOf(rle), bounds: boundsOf(rle) });

/** A box as the polygon that pycocotools makes of a result without a mask. */
function polygonOfBox(box: Float64Array, place: number): number[][] {
  const [x, y, w, h] = box.subarray(4 * place, 4 * place + 4) as unknown as [number, number, number, number];
  return [[x, y, x, y + h, x + w, y + h, x + w, y]];
}

/** Run lengths of masks, made when first asked for; `box` stands in for those that are missing. */
class Masks {
  readonly #made: (Measured | undefined)[];
  readonly #sizes: ReadonlyMap<number, { readonly width?: number; readonly height?: number }>;

  constructor(
    readonly what: string,
    images: TruthColumns["images"],
    readonly image: Float64Array,
    readonly masks: readonly (Segmentation | undefined)[] | undefined,
    readonly box: Float64Array | undefined,
  ) {
    this.#made = new Array<Measured | undefined>(image.length).fill(undefined);
    this.#sizes = new Map(images.map((one) => [one.id, one]));
  }

  at(place: number): Measured {
    this.#made[place] ??= this.#make(place);
    return this.#made[place] as Measured;
  }

  #make(place: number): Measured {
    const id = this.image[place] as number;
    const { width, height } = this.#sizes.get(id) ?? {};
    const mask = this.masks?.[place] ?? (this.box && polygonOfBox(this.box, place));
    const fault = faultOfMask(mask);
    if (mask === undefined || fault !== null) throw new EntryError(this.what, place, `${fault}`);
    if (!("counts" in mask) && !(Number.isInteger(width) && Number.isInteger(height)))
      throw new EntryError(
        this.what,
        place,
        `segmentation: polygons need the size of their image; image ${id} has no width and height`,
      );
    try {
      const rle = toRle(mask, height ?? 0, width ?? 0);
      if ((width !== undefined && rle.width !== width) || (height !== undefined && rle.height !== height))
        throw new RangeError(
          `expected a mask of the image's size, ${height} x ${width}, got ${rle.height} x ${rle.width}`,
        );
      return measure(rle);
    } catch (cause) {
      throw new EntryError(this.what, place, `segmentation: ${(cause as Error).message}`);
    }
  }
}

/** Overlaps of masks, on their run lengths. */
class MaskOverlaps implements Overlaps {
  readonly resultArea: Float64Array;
  readonly #truth: Masks;
  readonly #results: Masks;

  constructor(
    truth: TruthColumns,
    results: ResultColumns,
    readonly crowd: Uint8Array,
    wanted: Int32Array,
  ) {
    this.#truth = new Masks("annotations", truth.images, truth.image, truth.masks, undefined);
    this.#results = new Masks("results", truth.images, results.image, results.masks, results.box);
    this.resultArea = new Float64Array(results.count);
    const { box } = results;
    // pycocotools takes the box's area where a result has a box too.
    for (const place of wanted)
      this.resultArea[place] = box
        ? (box[4 * place + 2] as number) * (box[4 * place + 3] as number)
        : this.#results.at(place).area;
  }

  row(detection: number, objects: Int32Array, first: number, end: number, out: Float64Array): boolean {
    const own = this.#results.at(detection);
    let any = false;
    for (let i = first; i < end; i++) {
      const object = objects[i] as number;
      const other = this.#truth.at(object);
      const shared = apart(own.bounds, other.bounds) ? 0 : sharedPixels(own.rle, other.rle);
      out[i - first] =
        shared === 0 ? 0 : shared / (this.crowd[object] === 1 ? own.area : own.area + other.area - shared);
      if (shared > 0) any = true;
    }
    return any;
  }
}

const apart = (a: Measured["bounds"], b: Measured["bounds"]): boolean =>
  a[0] >= b[0] + b[2] || b[0] >= a[0] + a[2] || a[1] >= b[1] + b[3] || b[1] >= a[1] + a[3];

/** Boxes around masks alone, and the masks' areas (pycocotools' loadRes). */
function boxesOfMasks(truth: TruthColumns, results: ResultColumns): [box: Float64Array, area: Float64Array] {
  const masks = new Masks("results", truth.images, results.image, results.masks, undefined);
  const box = new Float64Array(4 * results.count);
  const area = new Float64Array(results.count);
  for (let place = 0; place < results.count; place++) {
    const { bounds, area: own } = masks.at(place);
    box.set(bounds, 4 * place);
    area[place] = own;
  }
  return [box, area];
}

/**
 * Overlaps of boxes or masks. `wanted` are the places of the detections that will be asked about; `crowds: false`
 * takes crowds as other objects.
 */
export function overlapsOf(
  truth: TruthColumns,
  results: ResultColumns,
  type: "bbox" | "segm",
  { wanted, crowds = true }: { readonly wanted: Int32Array; readonly crowds?: boolean | undefined },
): Overlaps {
  const crowd = crowdsOf(truth, crowds);
  if (type === "segm") return new MaskOverlaps(truth, results, crowd, wanted);
  if (results.box !== undefined) return new BoxOverlaps(truth.box, crowd, results.box);
  return new BoxOverlaps(truth.box, crowd, ...boxesOfMasks(truth, results));
}
