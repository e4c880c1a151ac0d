/** A mask as COCO writes it: polygons, or run lengths by columns (compressed text, or counts). */
export type Segmentation =
  | readonly (readonly number[])[]
  | { readonly size: readonly [height: number, width: number]; readonly counts: string | readonly number[] };

/** One object of a COCO annotation file. */
export interface Annotation {
  readonly id: number;
  readonly image_id: number;
  readonly category_id: number;
  /** [x, y, width, height] in pixels */
  readonly bbox: readonly number[];
  /** Pixels; decides the size class. */
  readonly area: number;
  readonly iscrowd?: number | undefined;
  readonly segmentation?: Segmentation | undefined;
}

/** The part of a COCO annotation file that evaluation reads. */
export interface GroundTruth {
  /** Sizes in pixels; masks that are polygons need them. */
  readonly images: readonly { readonly id: number; readonly width?: number; readonly height?: number }[];
  readonly annotations: readonly Annotation[];
  readonly categories: readonly { readonly id: number; readonly name: string }[];
}

/** One entry of a COCO result file. */
export interface Result {
  readonly image_id: number;
  readonly category_id: number;
  /** [x, y, width, height] in pixels */
  readonly bbox?: readonly number[] | undefined;
  readonly segmentation?: Segmentation | undefined;
  /** Usually 0-1; only the order counts. */
  readonly score: number;
}

/** Name, then smallest and largest area in pixels, both included. */
export type AreaRange = readonly [name: string, least: number, most: number];

export interface EvalOptions {
  readonly type?: "bbox" | "segm" | undefined;
  /** Detections counted of an image and class, ascending; [1, 10, 100] unless told. */
  readonly maxDets?: readonly number[] | undefined;
  /** false: all classes count as one. */
  readonly useCats?: boolean | undefined;
  /** Overlaps at which a detection matches; 0.5 to 0.95 unless told. */
  readonly iouThresholds?: readonly number[] | undefined;
  readonly recallThresholds?: readonly number[] | undefined;
  /** COCO's four unless told. */
  readonly areas?: readonly AreaRange[] | undefined;
  /** Only these images and classes, by id. */
  readonly imageIds?: readonly number[] | undefined;
  readonly categoryIds?: readonly number[] | undefined;
}

/** What is asked of the data, every option filled in. */
export interface EvalParams {
  readonly type: "bbox" | "segm";
  readonly maxDets: readonly number[];
  readonly useCats: boolean;
  readonly iouThresholds: readonly number[];
  readonly recallThresholds: readonly number[];
  readonly areas: readonly AreaRange[];
  readonly imageIds: readonly number[];
  readonly categoryIds: readonly number[];
}

const steps = (first: number, last: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => {
    // numpy.linspace: the last value is exact, the others are multiples of the step.
    return i === count - 1 ? last : first + i * ((last - first) / (count - 1));
  });

/** COCO's size classes: all, small (up to 32 x 32 pixels), medium (up to 96 x 96), large. */
export const cocoAreas: readonly AreaRange[] = [
  ["all", 0, 1e10],
  ["small", 0, 32 ** 2],
  ["medium", 32 ** 2, 96 ** 2],
  ["large", 96 ** 2, 1e10],
];

/** Matches of all thresholds, and all sizes, are kept as bits of one number. */
const mostBits = 31;

function checkOptions({ maxDets, iouThresholds, recallThresholds, areas }: EvalOptions): void {
  const fail = (name: string, expected: string, got: unknown): never => {
    throw new RangeError(`${name}: expected ${expected}, got ${JSON.stringify(got)}`);
  };
  if (maxDets && !(maxDets.length > 0 && maxDets.every((n) => Number.isInteger(n) && n > 0)))
    fail("maxDets", "positive integers", maxDets);
  if (iouThresholds && !(iouThresholds.length > 0 && iouThresholds.every((iou) => iou >= 0 && iou <= 1)))
    fail("iouThresholds", "numbers from 0 to 1", iouThresholds);
  if (recallThresholds && !recallThresholds.every((r, i) => r >= 0 && r >= (recallThresholds[i - 1] ?? 0)))
    fail("recallThresholds", "ascending numbers from 0", recallThresholds);
  if (areas && !(areas.length > 0 && areas.every(([, least, most]) => least <= most)))
    fail("areas", "ranges [name, least, most]", areas);
  for (const [name, list] of Object.entries({ iouThresholds, areas }))
    if (list !== undefined && list.length > mostBits) fail(name, `at most ${mostBits}`, list.length);
}

const sortedUnique = (values: Iterable<number>): number[] => [...new Set(values)].sort((a, b) => a - b);

/**
 * Options with COCO's values for what is not told.
 * @throws RangeError naming an option that makes no sense
 */
export function fillParams(
  ids: { readonly images: Iterable<number>; readonly categories: Iterable<number> },
  options: EvalOptions = {},
): EvalParams {
  checkOptions(options);
  return {
    type: options.type ?? "bbox",
    maxDets: [...(options.maxDets ?? [1, 10, 100])].sort((a, b) => a - b),
    useCats: options.useCats ?? true,
    iouThresholds: options.iouThresholds ?? steps(0.5, 0.95, 10),
    recallThresholds: options.recallThresholds ?? steps(0, 1, 101),
    areas: options.areas ?? cocoAreas,
    imageIds: sortedUnique(options.imageIds ?? ids.images),
    categoryIds: sortedUnique(options.categoryIds ?? ids.categories),
  };
}
