import { openSplits } from "../../data/splits.js";
import type { DetectionDataset } from "../../data/types.js";

interface Stats {
  readonly name: string;
  readonly images: number;
  readonly objects: number;
  readonly crowds: number;
  readonly withoutObjects: number;
  readonly perClass: Readonly<Record<string, number>>;
  /** Objects by COCO's size classes. */
  readonly small: number;
  readonly medium: number;
  readonly large: number;
  /** Objects by the logarithm to base 2 of the root of their area, rounded down. */
  readonly byRootArea: Readonly<Record<string, number>>;
  readonly imageSizes: readonly string[];
}

function statsOf({ name, categories, images }: DetectionDataset): Stats {
  const objects = images.flatMap((image) => image.objects);
  const sizes = objects.map(({ area }) => Math.sqrt(Math.max(area, 1)));
  const count = <T>(values: readonly T[], test: (value: T) => boolean): number => values.filter(test).length;
  const byRootArea: Record<string, number> = {};
  for (const size of sizes) {
    const from = 2 ** Math.floor(Math.log2(size));
    byRootArea[`${from}-${2 * from}`] = (byRootArea[`${from}-${2 * from}`] ?? 0) + 1;
  }
  const pictures = new Map<string, number>();
  for (const { width, height } of images)
    pictures.set(`${width}x${height}`, (pictures.get(`${width}x${height}`) ?? 0) + 1);
  return {
    name,
    images: images.length,
    objects: objects.length,
    crowds: count(objects, ({ crowd }) => crowd),
    withoutObjects: count(images, (image) => image.objects.length === 0),
    perClass: Object.fromEntries(
      categories.map((one, label) => [one.name, count(objects, (object) => object.label === label)]),
    ),
    small: count(sizes, (size) => size < 32),
    medium: count(sizes, (size) => size >= 32 && size < 96),
    large: count(sizes, (size) => size >= 96),
    byRootArea: Object.fromEntries(
      Object.entries(byRootArea).sort(([a], [b]) => Number.parseInt(a) - Number.parseInt(b)),
    ),
    imageSizes: [...pictures]
      .sort((a, b) => b[1] - a[1])
      .slice(0, 5)
      .map(([size, n]) => `${size} (${n})`),
  };
}

function bars(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts);
  const most = Math.max(1, ...entries.map(([, n]) => n));
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  return entries
    .map(
      ([name, n]) => `    ${name.padEnd(width)}  ${"█".repeat(Math.ceil((30 * n) / most)).padEnd(30)}  ${n}`,
    )
    .join("\n");
}

export async function printStats(
  path: string,
  { split, json }: { split?: string; json: boolean },
): Promise<void> {
  const all = (await openSplits(path, split)).map(statsOf);
  if (json) {
    process.stdout.write(`${JSON.stringify(all)}\n`);
    return;
  }
  for (const stats of all) {
    process.stdout.write(
      `${stats.name}\n  ${stats.images} images (${stats.withoutObjects} without objects), ${stats.objects} objects ` +
        `(${stats.crowds} crowds), ${(stats.objects / Math.max(1, stats.images)).toFixed(1)} an image\n` +
        `  image sizes: ${stats.imageSizes.join(", ")}\n  objects: ${stats.small} small (side under 32 pixels), ` +
        `${stats.medium} medium, ${stats.large} large (96 and more)\n  classes\n${bars(stats.perClass)}\n` +
        `  side of objects in pixels\n${bars(stats.byRootArea)}\n\n`,
    );
  }
}
