import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { XMLBuilder } from "fast-xml-parser";
import type { NamedSplit } from "../splits.js";
import type { ImageRecord } from "../types.js";
import type { Losses } from "./layout.js";

const builder = new XMLBuilder({ format: true, indentBy: "  " });
const tidy = (value: number): number => Number(value.toFixed(2));

function treeOf(image: ImageRecord, fileName: string, classes: readonly string[], losses: Losses): object {
  const { width, height, objects } = image;
  losses.crowds += objects.filter(({ crowd }) => crowd).length;
  const entries = objects
    .filter(({ crowd }) => !crowd)
    .map(({ box: [xmin, ymin, xmax, ymax], label, difficult }) => ({
      name: classes[label],
      difficult: difficult ? 1 : 0,
      bndbox: { xmin: tidy(xmin), ymin: tidy(ymin), xmax: tidy(xmax), ymax: tidy(ymax) },
    }));
  return {
    annotation: {
      folder: "JPEGImages",
      filename: fileName,
      size: { width, height, depth: 3 },
      segmented: 0,
      object: entries,
    },
  };
}

/** Annotations and list of a split; `names` are those of its pictures. Pixels are written as they stand, from 0. */
export function writeVoc(
  out: string,
  { split, dataset }: NamedSplit,
  names: readonly string[],
  losses: Losses,
): void {
  const lists = join(out, "ImageSets", "Main");
  const annotations = join(out, "Annotations");
  mkdirSync(lists, { recursive: true });
  mkdirSync(annotations, { recursive: true });
  const classes = dataset.categories.map(({ name }) => name);
  const stems = names.map((name) => name.replace(/\.[^.]+$/, ""));
  for (const [i, image] of dataset.images.entries())
    writeFileSync(
      join(annotations, `${stems[i]}.xml`),
      builder.build(treeOf(image, names[i] as string, classes, losses)) as string,
    );
  writeFileSync(join(lists, `${split}.txt`), stems.map((stem) => `${stem}\n`).join(""));
}
