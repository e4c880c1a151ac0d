import { openSplits } from "../../data/splits.js";
import { type Counts, type DatasetStatistics, statisticsOf } from "../../data/statistics.js";
import type { SourceArguments } from "./check.js";

const barWidth = 30;

function bars(counts: Counts): string {
  const entries = Object.entries(counts);
  const most = Math.max(1, ...entries.map(([, n]) => n));
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  return entries
    .map(([name, n]) => {
      const bar = "█".repeat(Math.ceil((barWidth * n) / most));
      return `    ${name.padEnd(width)}  ${bar.padEnd(barWidth)}  ${n}`;
    })
    .join("\n");
}

function asText(split: string, stats: DatasetStatistics): string {
  const perImage = (stats.objects / Math.max(1, stats.images)).toFixed(1);
  const sizes = Object.entries(stats.imageSizes);
  const often = sizes.slice(0, 5).map(([size, n]) => `${size} (${n})`);
  if (sizes.length > 5) often.push(`${sizes.length - 5} others`);
  return [
    `${split}: ${stats.name}`,
    `  ${stats.images} images (${stats.withoutObjects} without objects), ${stats.objects} objects (${stats.crowds} crowds), ${perImage} an image`,
    `  image sizes: ${often.join(", ")}`,
    `  objects: ${stats.small} small (side under 32 pixels), ${stats.medium} medium, ${stats.large} large (96 and more)`,
    `  classes\n${bars(stats.perClass)}`,
    `  side of objects in pixels (root of the area)\n${bars(stats.byRootArea)}`,
    `  width : height of objects\n${bars(stats.byAspect)}`,
    `  images by their number of objects\n${bars(stats.byObjects)}`,
  ].join("\n");
}

/** `sepc data stats` */
export async function printStats(
  path: string,
  { json, ...source }: SourceArguments & { readonly json: boolean },
): Promise<void> {
  const all = (await openSplits(path, source)).map(({ split, dataset }) => ({
    split,
    ...statisticsOf(dataset),
  }));
  if (json) process.stdout.write(`${JSON.stringify(all)}\n`);
  else process.stdout.write(`${all.map(({ split, ...stats }) => asText(split, stats)).join("\n\n")}\n`);
}
