/** A mask as COCO writes it: polygons, or run lengths by columns (compressed text, or counts). */
export type Segmentation =
  | readonly (readonly number[])[]
  | { readonly size: readonly [height: number, width: number]; readonly counts: string | readonly number[] };

/** The part of a COCO annotation file that evaluation reads. */
export interface GroundTruth {
  readonly images: readonly { readonly id: number; readonly width?: number; readonly height?: number }[];
  readonly annotations: readonly {
    readonly id: number;
    readonly image_id: number;
    readonly category_id: number;
    /** [x, y, width, height] in pixels */
    readonly bbox: readonly number[];
    /** Pixels; decides the size class. */
    readonly area: number;
    readonly iscrowd?: number | undefined;
    readonly segmentation?: Segmentation | undefined;
  }[];
  readonly categories: readonly { readonly id: number; readonly name: string }[];
}

/** One entry of a COCO result file. */
export interface Result {
  readonly image_id: number;
  readonly category_id: number;
  /** [x, y, width, height] in pixels */
  readonly bbox?: readonly number[] | undefined;
  /** Run lengths; polygons are refused, as by pycocotools. */
  readonly segmentation?: Segmentation | undefined;
  /** 0-1 */
  readonly score: number;
}

/** Smallest and largest area in pixels, both included. */
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

export const cocoAreas: readonly AreaRange[] = [
  ["all", 0, 1e10],
  ["small", 0, 32 ** 2],
  ["medium", 32 ** 2, 96 ** 2],
  ["large", 96 ** 2, 1e10],
];

const sortedUnique = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);

export function fillParams(truth: GroundTruth, options: EvalOptions = {}): EvalParams {
  return {
    type: options.type ?? "bbox",
    maxDets: [...(options.maxDets ?? [1, 10, 100])].sort((a, b) => a - b),
    useCats: options.useCats ?? true,
    iouThresholds: options.iouThresholds ?? steps(0.5, 0.95, 10),
    recallThresholds: options.recallThresholds ?? steps(0, 1, 101),
    areas: options.areas ?? cocoAreas,
    imageIds: sortedUnique(options.imageIds ?? truth.images.map(({ id }) => id)),
    categoryIds: sortedUnique(options.categoryIds ?? truth.categories.map(({ id }) => id)),
  };
}
