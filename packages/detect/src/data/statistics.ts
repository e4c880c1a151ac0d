import type { DetectionDataset, LabelledObject } from "./types.js";

/** Counts by the name of a range or class, in order. */
export type Counts = Readonly<Record<string, number>>;

export interface DatasetStatistics {
  readonly name: string;
  readonly images: number;
  readonly objects: number;
  readonly crowds: number;
  readonly withoutObjects: number;
  readonly perClass: Counts;
  /** Objects by COCO's size classes: areas under 32^2, under 96^2, and more. */
  readonly small: number;
  readonly medium: number;
  readonly large: number;
  /** Objects by the root of their area in pixels, in powers of 2. */
  readonly byRootArea: Counts;
  /** Objects by width over height. */
  readonly byAspect: Counts;
  /** Images by their number of objects. */
  readonly byObjects: Counts;
  /** Images by width x height, the most frequent first. */
  readonly imageSizes: Counts;
}

function countsOf<T>(values: readonly T[], nameOf: (value: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(nameOf(value), (counts.get(nameOf(value)) ?? 0) + 1);
  return counts;
}

/** In the order of the numbers that names begin with. */
const inOrder = (counts: ReadonlyMap<string, number>): Counts =>
  Object.fromEntries([...counts].sort(([a], [b]) => Number.parseFloat(a) - Number.parseFloat(b)));

const rootArea = ({ area }: LabelledObject): number => Math.sqrt(Math.max(area, 1));

/** "1/4", "1/2", "1", "2": the power of 2 next to width over height. */
function aspectOf({ box: [x1, y1, x2, y2] }: LabelledObject): number | null {
  return x2 > x1 && y2 > y1 ? Math.round(Math.log2((x2 - x1) / (y2 - y1))) : null;
}

function powerOfTwo(exponent: number): string {
  return exponent < 0 ? `1/${2 ** -exponent}` : String(2 ** exponent);
}

function aspects(objects: readonly LabelledObject[]): Counts {
  const exponents = objects.map(aspectOf).filter((exponent) => exponent !== null);
  const counts = countsOf(exponents, String);
  const sorted = [...counts].sort(([a], [b]) => Number(a) - Number(b));
  return Object.fromEntries(sorted.map(([exponent, n]) => [`${powerOfTwo(Number(exponent))} : 1`, n]));
}

/** "0", "1", "2-3", "4-7" ... */
function rangeOf(count: number): string {
  if (count < 2) return String(count);
  const from = 2 ** Math.floor(Math.log2(count));
  return `${from}-${2 * from - 1}`;
}

/** What is in a data set. */
export function statisticsOf({ name, categories, images }: DetectionDataset): DatasetStatistics {
  const objects = images.flatMap((image) => image.objects);
  const sizes = objects.map(rootArea);
  const count = <T>(values: readonly T[], test: (value: T) => boolean): number => values.filter(test).length;
  const perLabel = countsOf(objects, ({ label }) => String(label));
  const bySize = countsOf(sizes, (size) => {
    const from = 2 ** Math.floor(Math.log2(size));
    return `${from}-${2 * from}`;
  });
  return {
    name,
    images: images.length,
    objects: objects.length,
    crowds: count(objects, ({ crowd }) => crowd),
    withoutObjects: count(images, (image) => image.objects.length === 0),
    perClass: Object.fromEntries(
      categories.map((one, label) => [one.name, perLabel.get(String(label)) ?? 0]),
    ),
    small: count(sizes, (size) => size < 32),
    medium: count(sizes, (size) => size >= 32 && size < 96),
    large: count(sizes, (size) => size >= 96),
    byRootArea: inOrder(bySize),
    byAspect: aspects(objects),
    byObjects: inOrder(countsOf(images, (image) => rangeOf(image.objects.length))),
    imageSizes: Object.fromEntries(
      [...countsOf(images, ({ width, height }) => `${width}x${height}`)].sort((a, b) => b[1] - a[1]),
    ),
  };
}
