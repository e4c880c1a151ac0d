import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { XMLParser } from "fast-xml-parser";
import { readImageSize } from "../decode.js";
import { EngineError } from "../errors.js";
import type { DetectionDataset, ImageRecord, LabelledObject } from "../types.js";
import { PictureFinder } from "./pictures.js";
import { type OnProblem, refuse, shown } from "./problem.js";

interface VocObject {
  readonly name: string;
  readonly difficult: boolean;
  readonly box: readonly [number, number, number, number];
}

interface VocFile {
  readonly fileName: string;
  /** 0 where the file does not say. */
  readonly width: number;
  readonly height: number;
  readonly objects: readonly VocObject[];
}

const parser = new XMLParser({
  parseTagValue: false,
  trimValues: true,
  isArray: (name) => name === "object",
});

/** What lies at a path of tags. */
function at(tree: unknown, ...path: readonly string[]): unknown {
  let here = tree;
  for (const name of path) {
    if (typeof here !== "object" || here === null) return undefined;
    here = (here as Readonly<Record<string, unknown>>)[name];
  }
  return here;
}

const textAt = (tree: unknown, ...path: readonly string[]): string => {
  const value = at(tree, ...path);
  return typeof value === "string" ? value : "";
};

function objectOf(tree: unknown, where: string, path: string, onProblem: OnProblem): VocObject | null {
  const wrong = (what: string, expected: string, got: unknown): null => {
    onProblem({ file: path, where: `${where}: ${what}`, detail: `expected ${expected}, got ${shown(got)}` });
    return null;
  };
  const name = textAt(tree, "name");
  if (name === "") return wrong("name", "a class", at(tree, "name"));
  const box: number[] = [];
  for (const side of ["xmin", "ymin", "xmax", "ymax"]) {
    const text = textAt(tree, "bndbox", side);
    if (text === "" || !Number.isFinite(Number(text)))
      return wrong(side, "a number", at(tree, "bndbox", side));
    box.push(Number(text));
  }
  const difficult = textAt(tree, "difficult") === "1";
  return { name, difficult, box: box as unknown as VocObject["box"] };
}

function parseVoc(path: string, onProblem: OnProblem): VocFile | null {
  let root: unknown;
  try {
    root = at(parser.parse(readFileSync(path, "utf8")), "annotation");
  } catch (cause) {
    onProblem({ file: path, where: "file", detail: (cause as Error).message });
    return null;
  }
  if (typeof root !== "object" || root === null) {
    onProblem({ file: path, where: "file", detail: "expected XML with <annotation>, got something else" });
    return null;
  }
  const entries = (at(root, "object") ?? []) as readonly unknown[];
  const objects = entries.map((entry, i) => objectOf(entry, `object ${i + 1}`, path, onProblem));
  return {
    fileName: textAt(root, "filename"),
    width: Number(textAt(root, "size", "width")) || 0,
    height: Number(textAt(root, "size", "height")) || 0,
    objects: objects.filter((object) => object !== null),
  };
}

const lists = (folder: string): string => join(folder, "ImageSets", "Main");

/** The splits that a folder has lists of; those of single classes aside. */
export function vocSplits(folder: string): string[] {
  if (!existsSync(lists(folder))) return [];
  const names = readdirSync(lists(folder)).filter((name) => name.endsWith(".txt"));
  return names.map((name) => name.slice(0, -4)).filter((name) => ["train", "val", "test"].includes(name));
}

/** Names of a split's pictures, of which some are `known`. */
function namesIn(folder: string, split: string, known: { has(name: string): boolean }): string[] {
  const list = join(lists(folder), `${split}.txt`);
  if (!existsSync(list)) {
    const there = vocSplits(folder).join(", ") || "none";
    throw new EngineError(
      "FILE",
      `${list}: there is no such list of split "${split}"; splits there: ${there}`,
    );
  }
  return (
    readFileSync(list, "utf8")
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean)
      // Lists of one class have a flag after each name; names may hold blanks themselves.
      .map((line) => (known.has(line) ? line : line.replace(/\s+(?:-1|0|1)$/, "")))
  );
}

function pictureOf(folder: string, name: string, fileName: string, finder: PictureFinder): string {
  const pictures = join(folder, "JPEGImages");
  const names = [fileName, `${name}.jpg`, `${name}.png`, `${name}.jpeg`].filter(Boolean);
  const found = names.map((one) => finder.find(pictures, one)).find((one) => one !== null);
  return found ?? join(pictures, names[0] as string);
}

/** Width and height as the file says, or as the picture has where it does not say. */
async function sizeOf(
  { width, height }: VocFile,
  picture: string,
): Promise<{ width: number; height: number }> {
  if (width > 0 && height > 0) return { width, height };
  return readImageSize(picture).catch(() => ({ width: 1, height: 1 }));
}

/**
 * Pascal VOC's folders: Annotations, JPEGImages, ImageSets/Main. Pixels are taken as they stand, from 0. Classes are
 * those of all annotation files in alphabetical order, so that splits agree on labels.
 * @param split name of a list; all annotation files unless told
 */
export async function readVoc(
  folder: string,
  split?: string,
  onProblem: OnProblem = refuse,
): Promise<DetectionDataset> {
  const all = readdirSync(join(folder, "Annotations"))
    .filter((name) => name.endsWith(".xml"))
    .map((name) => name.slice(0, -4))
    .sort();
  const files = new Map(
    all.map((name) => [name, parseVoc(join(folder, "Annotations", `${name}.xml`), onProblem)]),
  );
  const classes = new Set([...files.values()].flatMap((file) => file?.objects.map(({ name }) => name) ?? []));
  const names = [...classes].sort();
  const labels = new Map(names.map((name, label) => [name, label]));
  const finder = new PictureFinder();
  const images: ImageRecord[] = [];
  let id = 0;
  for (const name of split === undefined ? all : namesIn(folder, split, files)) {
    const file = files.get(name);
    if (file === undefined)
      onProblem({
        file: join(lists(folder), `${split}.txt`),
        where: name,
        detail: `there is no Annotations/${name}.xml`,
      });
    if (!file) continue;
    const picture = pictureOf(folder, name, file.fileName, finder);
    const objects = file.objects.map(
      ({ name: own, difficult, box }): LabelledObject => ({
        id: ++id,
        box,
        label: labels.get(own) as number,
        crowd: false,
        area: Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]),
        difficult,
      }),
    );
    images.push({ id: images.length + 1, file: picture, ...(await sizeOf(file, picture)), objects });
  }
  const categories = names.map((name, i) => ({ id: i + 1, name }));
  return { name: split === undefined ? folder : `${folder} (${split})`, categories, images };
}
