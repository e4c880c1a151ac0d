import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { NamedSplit } from "../splits.js";
import type { ImageRecord } from "../types.js";
import type { Losses } from "./layout.js";

function linesOf({ objects, width, height }: ImageRecord, losses: Losses): string[] {
  const lines: string[] = [];
  for (const { box, label, crowd } of objects) {
    if (crowd) {
      losses.crowds++;
      continue;
    }
    // Trainers of YOLO refuse what reaches beyond the picture.
    const [x1, y1] = [Math.max(0, box[0] / width), Math.max(0, box[1] / height)];
    const [x2, y2] = [Math.min(1, box[2] / width), Math.min(1, box[3] / height)];
    if (!(x2 > x1 && y2 > y1)) {
      losses.emptyBoxes++;
      continue;
    }
    const numbers = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1];
    lines.push([label, ...numbers.map((value) => value.toFixed(8))].join(" "));
  }
  return lines;
}

/** Labels of a split; `names` are those of its pictures. */
export function writeYoloLabels(
  out: string,
  { split, dataset }: NamedSplit,
  names: readonly string[],
  losses: Losses,
): void {
  const folder = join(out, "labels", split);
  mkdirSync(folder, { recursive: true });
  for (const [i, image] of dataset.images.entries()) {
    const name = (names[i] as string).replace(/\.[^.]+$/, ".txt");
    const lines = linesOf(image, losses);
    writeFileSync(join(folder, name), lines.map((line) => `${line}\n`).join(""));
  }
}

export function writeDataYaml(out: string, splits: readonly NamedSplit[]): void {
  const names = splits[0]?.dataset.categories.map(({ name }) => name) ?? [];
  const folders = Object.fromEntries(splits.map(({ split }) => [split, `images/${split}`]));
  // A Map keeps its keys numbers, as readers expect them.
  const tree = { path: ".", ...folders, names: new Map(names.map((name, i) => [i, name])) };
  writeFileSync(join(out, "data.yaml"), stringify(tree));
}
