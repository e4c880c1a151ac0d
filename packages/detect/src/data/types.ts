/** A class of a data set. Its label is its place in the list of categories. */
export interface Category {
  /** As in the file. */
  readonly id: number;
  readonly name: string;
}

/** Polygons in pixels, x and y in turn, or run lengths as COCO writes them. */
export type CocoSegmentation =
  | readonly (readonly number[])[]
  | { readonly size: readonly [height: number, width: number]; readonly counts: string | readonly number[] };

export interface LabelledObject {
  readonly id: number;
  /** [x1, y1, x2, y2] in pixels */
  readonly box: readonly [number, number, number, number];
  readonly label: number;
  /** A crowd: neither to be found nor to be counted against what is found in it. */
  readonly crowd: boolean;
  /** Pixels. */
  readonly area: number;
  readonly segmentation?: CocoSegmentation | undefined;
  readonly difficult?: boolean | undefined;
}

export interface ImageRecord {
  readonly id: number;
  /** Absolute path. */
  readonly file: string;
  readonly width: number;
  readonly height: number;
  readonly objects: readonly LabelledObject[];
}

export interface DetectionDataset {
  readonly name: string;
  readonly categories: readonly Category[];
  readonly images: readonly ImageRecord[];
}

/** One picture as the network sees it. */
export interface Sample {
  readonly image: ImageRecord;
  /** Pixels after transforms, before padding. */
  readonly width: number;
  readonly height: number;
  /** Pixels now for one of the original. */
  readonly scaleX: number;
  readonly scaleY: number;
  readonly flipped: boolean;
  /** [K, 4] in pixels now, without crowds */
  readonly boxes: Float32Array;
  /** [K] */
  readonly labels: Int32Array;
  /** [I, 4] */
  readonly crowdBoxes: Float32Array;
}

export interface Batch {
  /** [N, 3, H, W], normalised, zero where there is no picture */
  readonly pixels: Float32Array;
  readonly shape: readonly [number, number, number, number];
  readonly samples: readonly Sample[];
  /** Pictures that could not be read. */
  readonly skipped: readonly { readonly file: string; readonly reason: string }[];
}
