import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "@sepc/engine";
import { XMLParser } from "fast-xml-parser";
import type { DetectionDataset, ImageRecord, LabelledObject } from "../types.js";

interface VocObject {
  readonly name: string;
  readonly difficult: boolean;
  readonly box: readonly [number, number, number, number];
}

interface VocFile {
  readonly fileName: string;
  readonly width: number;
  readonly height: number;
  readonly objects: readonly VocObject[];
}

const parser = new XMLParser({
  parseTagValue: false,
  trimValues: true,
  isArray: (name) => name === "object",
});

function numberAt(path: string, where: string, value: unknown): number {
  const number = Number(value);
  if (value === undefined || value === "" || !Number.isFinite(number))
    throw new EngineError(
      "BAD_ARGUMENT",
      `${path}: ${where}: expected a number, got ${JSON.stringify(value)}`,
    );
  return number;
}

// biome-ignore lint/suspicious/noExplicitAny: what a parser of free-form XML gives
type Tree = any;

function parseVoc(path: string): VocFile {
  let root: Tree;
  try {
    root = parser.parse(readFileSync(path, "utf8")).annotation;
  } catch (cause) {
    throw new EngineError("FILE", `${path}: ${(cause as Error).message}`, { cause });
  }
  if (root === undefined)
    throw new EngineError("BAD_ARGUMENT", `${path}: expected <annotation>, got other XML`);
  const objects = ((root.object ?? []) as Tree[]).map((object, i): VocObject => {
    const at = (side: string): number => numberAt(path, `object ${i}: ${side}`, object?.bndbox?.[side]);
    return {
      name: String(object.name ?? ""),
      difficult: object.difficult === "1",
      box: [at("xmin"), at("ymin"), at("xmax"), at("ymax")],
    };
  });
  return {
    fileName: String(root.filename ?? ""),
    width: numberAt(path, "size: width", root.size?.width),
    height: numberAt(path, "size: height", root.size?.height),
    objects,
  };
}

/** Names of a split's pictures, or of all pictures. */
function namesOf(folder: string, split: string | undefined): string[] {
  const annotations = join(folder, "Annotations");
  if (split === undefined) {
    return readdirSync(annotations)
      .filter((name) => name.endsWith(".xml"))
      .map((name) => name.slice(0, -4))
      .sort();
  }
  const list = join(folder, "ImageSets", "Main", `${split}.txt`);
  if (!existsSync(list)) throw new EngineError("FILE", `${list}: there is no such list of split "${split}"`);
  return readFileSync(list, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/)[0] ?? "")
    .filter(Boolean);
}

function pictureOf(folder: string, name: string, fileName: string): string {
  const beside = [fileName, `${name}.jpg`, `${name}.png`, `${name}.jpeg`].filter(Boolean);
  const found = beside.map((file) => join(folder, "JPEGImages", file)).find((file) => existsSync(file));
  return found ?? join(folder, "JPEGImages", beside[0] as string);
}

/** Classes of all annotation files, in alphabetical order: splits then agree on labels. */
function classesOf(folder: string): string[] {
  const names = new Set<string>();
  for (const name of namesOf(folder, undefined)) {
    const text = readFileSync(join(folder, "Annotations", `${name}.xml`), "utf8");
    for (const match of text.matchAll(/<object>\s*(?:(?!<\/object>)[\s\S])*?<name>\s*([^<]*?)\s*<\/name>/g))
      names.add(match[1] as string);
  }
  return [...names].sort();
}

/** Pascal VOC's folders: Annotations, JPEGImages, ImageSets/Main. Pixels are taken as they stand, from 0. */
export function readVoc(folder: string, split?: string): DetectionDataset {
  const classes = classesOf(folder);
  const labels = new Map(classes.map((name, label) => [name, label]));
  let objects = 0;
  const images = namesOf(folder, split).map((name, i): ImageRecord => {
    const file = parseVoc(join(folder, "Annotations", `${name}.xml`));
    return {
      id: i + 1,
      file: pictureOf(folder, name, file.fileName),
      width: file.width,
      height: file.height,
      objects: file.objects.map(
        ({ name: own, difficult, box }): LabelledObject => ({
          id: ++objects,
          box,
          label: labels.get(own) as number,
          crowd: false,
          area: Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]),
          difficult,
        }),
      ),
    };
  });
  const categories = classes.map((name, i) => ({ id: i + 1, name }));
  return { name: split === undefined ? folder : `${folder} (${split})`, categories, images };
}
