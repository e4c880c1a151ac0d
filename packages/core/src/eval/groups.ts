import { areaOf, boundsOf, type Rle, sharedPixels, toRle } from "./rle.js";
import type { EvalParams, GroundTruth, Result, Segmentation } from "./types.js";

/** Objects and detections of one image and class (or of all classes, when they count as one). */
export interface Group {
  readonly category: number;
  /** Places in `annotations`, in the file's order. */
  readonly objects: number[];
  /** Places in `results`, surest first, cut to the largest number that counts. */
  readonly results: number[];
}

/** Groups by class, then by image, both ascending; those without objects and results are left out. */
export function groupByImageAndClass(
  truth: GroundTruth,
  results: readonly Result[],
  params: EvalParams,
): Group[][] {
  const imagePlace = new Map(params.imageIds.map((id, place) => [id, place]));
  const classPlace = new Map(params.categoryIds.map((id, place) => [id, place]));
  const classes = params.useCats ? params.categoryIds.length : 1;
  const images = params.imageIds.length;
  const table: (Group | undefined)[] = new Array(classes * images).fill(undefined);
  const groupAt = (imageId: number, categoryId: number): Group | undefined => {
    const image = imagePlace.get(imageId);
    const category = classPlace.get(categoryId);
    if (image === undefined || category === undefined) return undefined;
    const own = params.useCats ? category : 0;
    const place = own * images + image;
    let group = table[place];
    if (group === undefined) {
      group = { category: own, objects: [], results: [] };
      table[place] = group;
    }
    return group;
  };
  const { annotations } = truth;
  for (let i = 0; i < annotations.length; i++) {
    const one = annotations[i] as GroundTruth["annotations"][number];
    groupAt(one.image_id, one.category_id)?.objects.push(i);
  }
  const scores = new Float64Array(results.length);
  for (let i = 0; i < results.length; i++) {
    const one = results[i] as Result;
    scores[i] = one.score;
    groupAt(one.image_id, one.category_id)?.results.push(i);
  }
  const most = params.maxDets.at(-1) as number;
  const byClass: Group[][] = Array.from({ length: classes }, () => []);
  for (const group of table) {
    if (group === undefined) continue;
    if (!params.useCats) orderByClass(group, truth, results, classPlace);
    const { results: own } = group;
    if (own.length > 1) own.sort((a, b) => (scores[b] as number) - (scores[a] as number));
    if (own.length > most) own.length = most;
    byClass[group.category]?.push(group);
  }
  return byClass;
}

/** Classes that count as one still come one after the other: it decides between equals. */
function orderByClass(
  { objects, results: own }: Group,
  truth: GroundTruth,
  results: readonly Result[],
  place: ReadonlyMap<number, number>,
): void {
  const of = (id: number | undefined): number => place.get(id as number) as number;
  objects.sort((a, b) => of(truth.annotations[a]?.category_id) - of(truth.annotations[b]?.category_id));
  own.sort((a, b) => of(results[a]?.category_id) - of(results[b]?.category_id));
}

/** Overlaps of detections with objects, and areas of detections. */
export interface Overlaps {
  /** `[D, G]` row by row into `out`; intersection over union, with a crowd over the detection's area. */
  fill(group: Group, out: Float64Array): void;
  areaOfResult(result: number): number;
}

/** Results of masks alone have the boxes around them, and their areas are the masks' (pycocotools' loadRes). */
class BoxOverlaps implements Overlaps {
  readonly #objects: Float64Array;
  readonly #results: Float64Array;
  readonly #crowd: Uint8Array;
  readonly #areas: Float64Array | null;

  constructor(truth: GroundTruth, results: readonly Result[]) {
    const flat = (boxes: Iterable<readonly number[] | undefined>, count: number): Float64Array => {
      const out = new Float64Array(4 * count);
      let at = 0;
      for (const box of boxes) for (let i = 0; i < 4; i++) out[at++] = box?.[i] ?? 0;
      return out;
    };
    const { annotations } = truth;
    this.#objects = flat(
      annotations.map(({ bbox }) => bbox),
      annotations.length,
    );
    const masks =
      results[0]?.bbox === undefined && results[0]?.segmentation !== undefined
        ? masksOf(truth, results)
        : null;
    const boxes = masks === null ? results.map(({ bbox }) => bbox) : masks.map(boundsOf);
    this.#results = flat(boxes, results.length);
    this.#areas = masks === null ? null : Float64Array.from(masks, areaOf);
    this.#crowd = Uint8Array.from(annotations, ({ iscrowd }) => (iscrowd === 1 ? 1 : 0));
  }

  areaOfResult(result: number): number {
    if (this.#areas !== null) return this.#areas[result] as number;
    return (this.#results[4 * result + 2] as number) * (this.#results[4 * result + 3] as number);
  }

  fill({ objects, results }: Group, out: Float64Array): void {
    const [a, b] = [this.#results, this.#objects];
    let at = 0;
    for (const result of results) {
      const p = 4 * result;
      const [x, y, w, h] = [a[p], a[p + 1], a[p + 2], a[p + 3]] as unknown as [
        number,
        number,
        number,
        number,
      ];
      for (const object of objects) {
        const q = 4 * object;
        const [gx, gy, gw, gh] = [b[q], b[q + 1], b[q + 2], b[q + 3]] as unknown as [
          number,
          number,
          number,
          number,
        ];
        const width = Math.min(w + x, gw + gx) - Math.max(x, gx);
        const height = width <= 0 ? 0 : Math.min(h + y, gh + gy) - Math.max(y, gy);
        if (width <= 0 || height <= 0) {
          out[at++] = 0;
          continue;
        }
        const shared = width * height;
        out[at++] = shared / (this.#crowd[object] === 1 ? w * h : w * h + gw * gh - shared);
      }
    }
  }
}

function masksOf({ images }: GroundTruth, results: readonly Result[]): Rle[] {
  const sizes = new Map(images.map(({ id, height = 0, width = 0 }) => [id, [height, width] as const]));
  return results.map(({ image_id, segmentation }) =>
    toRle(segmentation ?? [], ...(sizes.get(image_id) ?? ([0, 0] as const))),
  );
}

class MaskOverlaps implements Overlaps {
  readonly #objects: (Rle | undefined)[];
  readonly #results: (Rle | undefined)[];
  readonly #areas = new Map<Rle, number>();

  constructor(
    readonly truth: GroundTruth,
    readonly results: readonly Result[],
  ) {
    this.#objects = new Array(truth.annotations.length);
    this.#results = new Array(results.length);
  }

  #sizes = new Map<number, readonly [number, number]>();

  #sizeOf(image: number): readonly [number, number] {
    if (this.#sizes.size === 0)
      for (const { id, width = 0, height = 0 } of this.truth.images) this.#sizes.set(id, [height, width]);
    return this.#sizes.get(image) ?? [0, 0];
  }

  #rle(cache: (Rle | undefined)[], place: number, image: number, mask: Segmentation | undefined): Rle {
    const [height, width] = this.#sizeOf(image);
    cache[place] ??= toRle(mask ?? [], height, width);
    return cache[place] as Rle;
  }

  #object(place: number): Rle {
    const { image_id, segmentation } = this.truth.annotations[place] as GroundTruth["annotations"][number];
    return this.#rle(this.#objects, place, image_id, segmentation);
  }

  #result(place: number): Rle {
    const { image_id, segmentation } = this.results[place] as Result;
    return this.#rle(this.#results, place, image_id, segmentation);
  }

  #area(rle: Rle): number {
    const known = this.#areas.get(rle);
    if (known !== undefined) return known;
    const area = areaOf(rle);
    this.#areas.set(rle, area);
    return area;
  }

  areaOfResult(result: number): number {
    const { bbox } = this.results[result] as Result;
    // pycocotools takes the box's area where a result has a box too.
    return bbox === undefined ? this.#area(this.#result(result)) : (bbox[2] as number) * (bbox[3] as number);
  }

  fill({ objects, results }: Group, out: Float64Array): void {
    let at = 0;
    for (const result of results) {
      const a = this.#result(result);
      for (const object of objects) {
        const b = this.#object(object);
        const shared = sharedPixels(a, b);
        const crowd = this.truth.annotations[object]?.iscrowd === 1;
        const whole = crowd ? this.#area(a) : this.#area(a) + this.#area(b) - shared;
        out[at++] = shared === 0 ? 0 : shared / whole;
      }
    }
  }
}

export function overlapsOf(truth: GroundTruth, results: readonly Result[], type: "bbox" | "segm"): Overlaps {
  return type === "bbox" ? new BoxOverlaps(truth, results) : new MaskOverlaps(truth, results);
}
