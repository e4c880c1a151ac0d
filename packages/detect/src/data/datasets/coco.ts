import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { EngineError } from "../errors.js";
import type { Category, CocoSegmentation, DetectionDataset, ImageRecord, LabelledObject } from "../types.js";
import { folderOf, PictureFinder } from "./pictures.js";
import { type OnProblem, refuse, shown } from "./problem.js";

type Entry = Readonly<Record<string, unknown>>;

interface CocoFile {
  readonly images: readonly unknown[];
  readonly annotations: readonly unknown[];
  readonly categories: readonly unknown[];
}

const isEntry = (value: unknown): value is Entry =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

function listsOf(path: string): CocoFile {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(path, "utf8").replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw new EngineError("FILE", `${path}: expected JSON: ${(cause as Error).message}`, { cause });
  }
  const { images, annotations = [], categories } = isEntry(raw) ? raw : {};
  for (const [name, list] of Object.entries({ images, annotations, categories })) {
    if (!Array.isArray(list))
      throw new EngineError(
        "BAD_ARGUMENT",
        `${path}: expected COCO annotations with lists images, annotations and categories; ${name} is ${shown(list)}`,
      );
  }
  return { images, annotations, categories } as CocoFile;
}

/** Reads the entries of one file, telling of those that are wrong. */
class CocoReader {
  readonly #path: string;
  readonly #onProblem: OnProblem;

  constructor(path: string, onProblem: OnProblem) {
    this.#path = path;
    this.#onProblem = onProblem;
  }

  /** Tells of a wrong entry; null stands for it. */
  #wrong(where: string, expected: string, got: unknown): null {
    this.#onProblem({ file: this.#path, where, detail: `expected ${expected}, got ${shown(got)}` });
    return null;
  }

  categories(entries: readonly unknown[]): Category[] {
    const byId = new Map<number, Category>();
    const names = new Set<string>();
    for (const [i, entry] of entries.entries()) {
      const { id, name } = isEntry(entry) ? entry : {};
      if (!isNumber(id)) this.#wrong(`categories.${i}.id`, "a number", id);
      else if (typeof name !== "string" || name === "") this.#wrong(`categories.${i}.name`, "a name", name);
      else if (byId.has(id)) this.#wrong(`categories.${i}.id`, "an id of its own", id);
      else if (names.has(name)) this.#wrong(`categories.${i}.name`, "a name of its own", name);
      else {
        byId.set(id, { id, name });
        names.add(name);
      }
    }
    if (byId.size === 0)
      throw new EngineError("BAD_ARGUMENT", `${this.#path}: categories: expected some, got none`);
    return [...byId.values()].sort((a, b) => a.id - b.id);
  }

  image(entry: unknown, i: number): { id: number; name: string; width: number; height: number } | null {
    const { id, file_name: name, width, height } = isEntry(entry) ? entry : {};
    if (!isNumber(id)) return this.#wrong(`images.${i}.id`, "a number", id);
    if (typeof name !== "string" || name === "")
      return this.#wrong(`images.${i}.file_name`, "a file's name", name);
    if (!isNumber(width) || width < 1) return this.#wrong(`images.${i}.width`, "pixels", width);
    if (!isNumber(height) || height < 1) return this.#wrong(`images.${i}.height`, "pixels", height);
    return { id, name, width, height };
  }

  /** Polygons or run lengths; what is neither is told, and left out. */
  #segmentation(value: unknown, where: string, isCrowd: boolean): CocoSegmentation | undefined {
    if (value === undefined || value === null) return undefined;
    const isPolygon = (part: unknown): boolean =>
      Array.isArray(part) && part.length >= 6 && part.length % 2 === 0 && part.every(isNumber);
    if (Array.isArray(value)) {
      if (!isCrowd && value.every(isPolygon)) return value as CocoSegmentation;
      // Crowds are run lengths; tools that write none leave an empty list.
      if (value.length === 0) return undefined;
    } else if (isEntry(value)) {
      const { size, counts } = value;
      const isSize = Array.isArray(size) && size.length === 2 && size.every(isNumber);
      if (isSize && (typeof counts === "string" || (Array.isArray(counts) && counts.every(isNumber))))
        return value as CocoSegmentation;
    }
    this.#wrong(
      `${where}.segmentation`,
      isCrowd ? "run lengths { size, counts }" : "polygons of 3 and more points",
      value,
    );
    return undefined;
  }

  object(entry: unknown, i: number, labels: ReadonlyMap<number, number>): LabelledObject | null {
    const where = `annotations.${i}`;
    const { id = i + 1, category_id, bbox, area, iscrowd = 0, segmentation } = isEntry(entry) ? entry : {};
    if (!isNumber(id)) return this.#wrong(`${where}.id`, "a number", id);
    if (!isNumber(category_id)) return this.#wrong(`${where}.category_id`, "a number", category_id);
    const label = labels.get(category_id);
    if (label === undefined) {
      const known = [...labels.keys()].slice(0, 10).join(", ");
      return this.#wrong(
        `${where}.category_id`,
        `one of the file's categories (${known}${labels.size > 10 ? " ..." : ""})`,
        category_id,
      );
    }
    if (!Array.isArray(bbox) || bbox.length !== 4 || !bbox.every(isNumber))
      return this.#wrong(`${where}.bbox`, "[x, y, width, height] in pixels", bbox);
    const [x, y, width, height] = bbox as [number, number, number, number];
    const crowd = iscrowd === 1 || iscrowd === true;
    return {
      id,
      box: [x, y, x + width, y + height],
      label,
      crowd,
      area: isNumber(area) ? area : width * height,
      segmentation: this.#segmentation(segmentation, where, crowd),
    };
  }

  /** Objects of each image by its id. */
  objects(
    entries: readonly unknown[],
    imageIds: Iterable<number>,
    labels: ReadonlyMap<number, number>,
  ): Map<number, LabelledObject[]> {
    const objects = new Map<number, LabelledObject[]>([...imageIds].map((id) => [id, []]));
    for (const [i, entry] of entries.entries()) {
      const imageId = isEntry(entry) ? entry.image_id : undefined;
      const own = objects.get(imageId as number);
      if (own === undefined) {
        this.#wrong(`annotations.${i}.image_id`, "one of the file's images", imageId);
        continue;
      }
      const object = this.object(entry, i, labels);
      if (object !== null) own.push(object);
    }
    return objects;
  }

  images(entries: readonly unknown[]): Map<number, { name: string; width: number; height: number }> {
    const images = new Map<number, { name: string; width: number; height: number }>();
    for (const [i, entry] of entries.entries()) {
      const image = this.image(entry, i);
      if (image === null) continue;
      if (images.has(image.id)) this.#wrong(`images.${i}.id`, "an id of its own", image.id);
      else images.set(image.id, image);
    }
    return images;
  }
}

/** Where the pictures of an annotation file may lie: beside it or its folder, in a folder of the split's name or a usual one. */
function placesOf(path: string): string[] {
  const base = dirname(path);
  const stem = basename(path).replace(/\.json$/i, "");
  const split = /(?:train|val|test)[a-z]*\d*/.exec(stem)?.[0] ?? stem;
  const usual = ["", stem, stem.replace(/^instances_/, ""), split, "images", "JPEGImages", "data"];
  return [base, dirname(base)].flatMap((folder) =>
    [...usual, join("images", split), join("images", stem.replace(/^instances_/, ""))].map((name) =>
      join(folder, name),
    ),
  );
}

/**
 * COCO's format.
 * @param images folder of the pictures; looked for unless told
 * @throws EngineError FILE when it is no JSON; BAD_ARGUMENT when it is other JSON, or as `onProblem` decides
 */
export function readCoco(path: string, images?: string, onProblem: OnProblem = refuse): DetectionDataset {
  const file = listsOf(path);
  const reader = new CocoReader(path, onProblem);
  const categories = reader.categories(file.categories);
  const labels = new Map(categories.map(({ id }, label) => [id, label]));
  const entries = reader.images(file.images);
  const objects = reader.objects(file.annotations, entries.keys(), labels);
  const names = [...entries.values()].map(({ name }) => name);
  const folder = images ?? folderOf(names, placesOf(path)) ?? dirname(path);
  const finder = new PictureFinder();
  const records = [...entries].map(
    ([id, { name, width, height }]): ImageRecord => ({
      id,
      file: finder.pathOf(folder, name),
      width,
      height,
      objects: objects.get(id) ?? [],
    }),
  );
  return { name: path, categories, images: records };
}
