import { join } from "node:path";
import { EngineError } from "../errors.js";
import type { DatasetFormat } from "../open.js";
import type { NamedSplit } from "../splits.js";
import { writeCoco } from "./coco.js";
import { type Losses, makeEmptyFolder, placePicture, UniqueNames } from "./layout.js";
import { writeVoc } from "./voc.js";
import { writeDataYaml, writeYoloLabels } from "./yolo.js";

export interface ConvertOptions {
  readonly to: DatasetFormat;
  /** A new or empty folder. */
  readonly out: string;
  /** Pictures are copied, or linked (hard links: no space, same disk only). Copied unless told. */
  readonly pictures?: "copy" | "link" | undefined;
  readonly onImage?: (() => void) | undefined;
}

export interface ConvertResult {
  readonly images: number;
  readonly objects: number;
  /** What the format has no place for: crowds (YOLO, VOC), boxes without area (YOLO), pictures that are missing. */
  readonly losses: Readonly<Losses>;
}

/** Labels mean the same in all splits only if their classes are the same. */
function checkClasses(splits: readonly NamedSplit[]): void {
  const [first, ...others] = splits.map(({ dataset }) =>
    dataset.categories.map(({ name }) => name).join("\n"),
  );
  const other = others.findIndex((names) => names !== first);
  if (other >= 0)
    throw new EngineError(
      "BAD_ARGUMENT",
      `convert: splits ${splits[0]?.split} and ${splits[other + 1]?.split} have different classes; convert them one by one`,
    );
}

/** Where a split's pictures go. */
function folderOf(to: DatasetFormat, split: string): string {
  if (to === "coco") return split;
  return to === "yolo" ? join("images", split) : "JPEGImages";
}

/** Trainers look for "train"; a whole without splits is for training. */
const named = (one: NamedSplit): NamedSplit => (one.split === "all" ? { ...one, split: "train" } : one);

/**
 * Writes a data set in another format, pictures included.
 * @throws EngineError BAD_ARGUMENT when `out` holds files, or splits differ in classes; FILE when a file cannot be written
 */
export function convertDataset(source: readonly NamedSplit[], options: ConvertOptions): ConvertResult {
  const { to, out, pictures = "copy", onImage } = options;
  const splits = source.map(named);
  checkClasses(splits);
  makeEmptyFolder(out);
  const losses: Losses = { crowds: 0, emptyBoxes: 0, missingImages: 0 };
  // Pascal VOC has one folder of pictures; in the others a name need differ only from those of its split.
  const shared = new UniqueNames();
  try {
    for (const one of splits) {
      const unique = to === "voc" ? shared : new UniqueNames();
      const names = one.dataset.images.map((image) => unique.of(image));
      for (const [i, { file }] of one.dataset.images.entries()) {
        if (!placePicture(file, join(out, folderOf(to, one.split), names[i] as string), pictures))
          losses.missingImages++;
        onImage?.();
      }
      if (to === "coco") writeCoco(out, one, names);
      else if (to === "yolo") writeYoloLabels(out, one, names, losses);
      else writeVoc(out, one, names, losses);
    }
    if (to === "yolo") writeDataYaml(out, splits);
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    const hint = code === "EXDEV" ? "; links reach only over one disk: copy instead" : "";
    throw new EngineError("FILE", `convert: ${message}${hint}`, { cause });
  }
  const count = (of: (one: NamedSplit) => number): number => splits.reduce((sum, one) => sum + of(one), 0);
  return {
    images: count(({ dataset }) => dataset.images.length),
    objects: count(({ dataset }) => dataset.images.reduce((sum, { objects }) => sum + objects.length, 0)),
    losses,
  };
}
