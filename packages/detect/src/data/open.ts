import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { readCoco } from "./datasets/coco.js";
import { type OnProblem, refuse } from "./datasets/problem.js";
import { readVoc, vocSplits } from "./datasets/voc.js";
import { readYolo, yoloIn, yoloSplits } from "./datasets/yolo.js";
import { EngineError } from "./errors.js";
import type { DetectionDataset } from "./types.js";

export type DatasetFormat = "coco" | "voc" | "yolo";

export interface OpenOptions {
  /** "train", "val", "test"; needed for data sets that hold several. */
  readonly split?: string | undefined;
  /** Folder of the pictures of COCO annotations; looked for unless told. */
  readonly images?: string | undefined;
  /** Found out unless told. */
  readonly format?: DatasetFormat | undefined;
  /** Told of entries that make no sense, which are then left out; unless given, the first one is thrown. */
  readonly onProblem?: OnProblem | undefined;
}

/** What there is at a path. */
interface Source {
  readonly format: DatasetFormat;
  /** A file, or the folder. */
  readonly path: string;
  /** COCO: the annotation file of each split. */
  readonly files?: ReadonlyMap<string, string>;
  readonly splits: readonly string[];
}

const layouts: Readonly<Record<DatasetFormat, string>> = {
  coco: "a COCO .json, a folder with annotations/*.json",
  voc: "a Pascal VOC folder (Annotations, JPEGImages)",
  yolo: "YOLO's data.yaml",
};

const accepted = (format?: DatasetFormat): string =>
  format === undefined ? `${layouts.coco}, ${layouts.voc} or ${layouts.yolo}` : layouts[format];

const isJson = (name: string): boolean =>
  /\.json$/i.test(name) && !/captions|keypoints|stuff|panoptic|provenance|image_info/.test(name);

const jsonIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter(isJson)
        .sort((a, b) => a.length - b.length || a.localeCompare(b))
        .map((name) => join(folder, name))
    : [];

/** "val" of "instances_val2017.json", "valid.json"; null, the name tells none. */
function splitIn(name: string): string | null {
  const found = /(?:^|[^a-z])(train|val|test)(?:id|idation|ing)?(?:[^a-z]|$)/i.exec(name);
  return found === null ? null : (found[1] as string).toLowerCase();
}

/** Annotation files of COCO by split: in annotations/, in the folder, or in a folder for each split. */
function cocoFiles(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  const all = [join(folder, "annotations"), folder].flatMap(jsonIn);
  for (const file of all) {
    const split = splitIn(basename(file));
    if (split !== null && !files.has(split)) files.set(split, file);
  }
  for (const split of ["train", "val", "valid", "test"]) {
    const [only, ...others] = jsonIn(join(folder, split));
    const name = split === "valid" ? "val" : split;
    if (only !== undefined && others.length === 0 && !files.has(name)) files.set(name, only);
  }
  // Files whose names tell nothing: one is the data set; of several, each is a split of its own name.
  if (files.size === 0)
    for (const file of all) files.set(all.length === 1 ? "" : basename(file).replace(/\.json$/i, ""), file);
  return files;
}

function sourceOf(path: string, wanted: DatasetFormat | undefined): Source | null {
  const is = (format: DatasetFormat): boolean => wanted === undefined || wanted === format;
  if (statSync(path).isFile()) {
    if (/\.ya?ml$/i.test(path) && is("yolo")) return { format: "yolo", path, splits: yoloSplits(path) };
    if (/\.json$/i.test(path) && is("coco"))
      return { format: "coco", path, files: new Map([["", path]]), splits: [] };
    return null;
  }
  const yolo = yoloIn(path);
  if (yolo?.endsWith("ml") && is("yolo")) return { format: "yolo", path: yolo, splits: yoloSplits(yolo) };
  const files = cocoFiles(path);
  if (files.size > 0 && is("coco"))
    return { format: "coco", path, files, splits: [...files.keys()].filter(Boolean) };
  if (existsSync(join(path, "Annotations")) && is("voc"))
    return { format: "voc", path, splits: vocSplits(path) };
  if (yolo !== null && is("yolo")) return { format: "yolo", path: yolo, splits: yoloSplits(yolo) };
  return null;
}

function inUsualOrder(splits: readonly string[]): string[] {
  const usual = ["train", "val", "test"].filter((name) => splits.includes(name));
  return [...usual, ...splits.filter((name) => !usual.includes(name))];
}

function find(path: string, { format }: OpenOptions): Source {
  const place = resolve(path);
  if (!existsSync(place))
    throw new EngineError("FILE", `${path}: there is no such data set; expected ${accepted(format)}`);
  const source = sourceOf(place, format);
  if (source !== null) return { ...source, splits: inUsualOrder(source.splits) };
  throw new EngineError("BAD_ARGUMENT", `${path}: expected ${accepted(format)}`);
}

/** The splits that a data set names, "train", "val" and "test" first; none where it is a whole. */
export function splitsOf(path: string, options: OpenOptions = {}): readonly string[] {
  return find(path, options).splits;
}

/** The file of the split; a file given by itself is what it is, whatever split is asked for. */
function cocoFileOf({ files = new Map(), splits }: Source, path: string, split: string | undefined): string {
  const [first] = files.values();
  if (splits.length === 0) {
    if (split === undefined || split === "train" || !statSync(path).isDirectory()) return first as string;
    throw new EngineError(
      "BAD_ARGUMENT",
      `${path}: there is no split "${split}"; its only annotation file is ${first}`,
    );
  }
  const own = split === undefined ? (files.size === 1 ? first : undefined) : files.get(split);
  const loose = [...files].find(([name]) => split !== undefined && name.includes(split))?.[1];
  if (own ?? loose) return (own ?? loose) as string;
  throw new EngineError(
    "BAD_ARGUMENT",
    `${path}: ${split === undefined ? "holds several splits, and none is asked for" : `there is no split "${split}"`}; ` +
      `splits there: ${splits.join(", ")}`,
  );
}

/**
 * Opens a data set of any known format.
 * @throws EngineError FILE when there is nothing, BAD_ARGUMENT when it is no known format, when it holds several splits
 * and none is named, or when an entry makes no sense (naming file and place).
 */
export async function openDataset(path: string, options: OpenOptions = {}): Promise<DetectionDataset> {
  const { split, images, onProblem = refuse } = options;
  const source = find(path, options);
  if (source.format === "coco") return readCoco(cocoFileOf(source, path, split), images, onProblem);
  if (source.format === "voc") return readVoc(source.path, split, onProblem);
  const [only, ...others] = source.splits;
  if (split === undefined && others.length > 0)
    throw new EngineError(
      "BAD_ARGUMENT",
      `${path}: holds several splits, and none is asked for; splits there: ${source.splits.join(", ")}`,
    );
  return readYolo(source.path, split ?? (only as string), onProblem);
}
