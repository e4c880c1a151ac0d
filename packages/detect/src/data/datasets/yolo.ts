import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { readImageSize } from "../decode.js";
import { EngineError } from "../errors.js";
import type { DetectionDataset, ImageRecord, LabelledObject } from "../types.js";
import { type OnProblem, refuse, shown } from "./problem.js";

const pictureEndings = /\.(jpe?g|png|webp|bmp|tiff?|gif|avif)$/i;
const classFiles = ["classes.txt", "obj.names", join("labels", "classes.txt")];
/** Other names of a split. */
const aliases: Readonly<Record<string, readonly string[]>> = { val: ["val", "valid", "validation"] };

/** What a data set says of itself: classes, and the folders or lists of each split. */
interface YoloSource {
  readonly path: string;
  readonly names: readonly string[];
  readonly splits: ReadonlyMap<string, readonly string[]>;
}

const linesOf = (path: string): string[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

function namesOf(path: string, value: unknown, count: unknown): string[] {
  const fail = (expected: string, got: unknown): never => {
    throw new EngineError("BAD_ARGUMENT", `${path}: names: expected ${expected}, got ${shown(got)}`);
  };
  if (typeof value !== "object" || value === null) return fail("a list or map of classes", value);
  const entries = Array.isArray(value)
    ? value.map((name, i): [number, unknown] => [i, name])
    : Object.entries(value).map(([key, name]): [number, unknown] => [Number(key), name]);
  const names = entries.sort(([a], [b]) => a - b).map(([, name]) => String(name));
  if (names.length === 0 || !entries.every(([key], i) => key === i))
    return fail("classes numbered 0, 1, 2 and so on without gaps", value);
  if (new Set(names).size < names.length) return fail("a name of its own for each class", value);
  if (typeof count === "number" && count !== names.length) return fail(`nc = ${count} classes`, value);
  return names;
}

/** The first of the places where what a data.yaml names is there. */
function placeOf(text: string, root: string, folder: string): string {
  if (isAbsolute(text)) return text;
  const places = [join(root, text), join(folder, text), join(folder, text.replace(/^(\.\.\/)+/, ""))];
  return places.find((place) => existsSync(place)) ?? (places[0] as string);
}

function parseDataYaml(path: string): YoloSource {
  let raw: unknown;
  try {
    raw = parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new EngineError("FILE", `${path}: expected YAML: ${(cause as Error).message}`, { cause });
  }
  const tree = (typeof raw === "object" && raw !== null ? raw : {}) as Readonly<Record<string, unknown>>;
  const folder = dirname(path);
  const base = typeof tree.path === "string" ? tree.path : "";
  const root = isAbsolute(base) ? base : join(folder, base);
  const splits = new Map<string, string[]>();
  for (const split of ["train", "val", "test"]) {
    const value = (aliases[split] ?? [split]).map((name) => tree[name]).find((found) => found !== undefined);
    if (value === undefined || value === null || value === "") continue;
    const places = (Array.isArray(value) ? value : [value]).map(String);
    splits.set(
      split,
      places.map((place) => placeOf(place, root, folder)),
    );
  }
  if (splits.size === 0)
    throw new EngineError(
      "BAD_ARGUMENT",
      `${path}: expected train, val or test, folders of pictures; got none`,
    );
  return { path, names: namesOf(path, tree.names, tree.nc), splits };
}

/** A folder of images and labels without a data.yaml: classes stand in a text file, splits are folders. */
function parseFolder(folder: string): YoloSource {
  const list = classFiles.map((name) => join(folder, name)).find((file) => existsSync(file));
  if (list === undefined)
    throw new EngineError(
      "BAD_ARGUMENT",
      `${folder}: folders images and labels, but no names of classes: expected data.yaml, or ${classFiles.join(" or ")}`,
    );
  const images = join(folder, "images");
  const splits = new Map<string, string[]>();
  for (const split of ["train", "val", "test"]) {
    const own = (aliases[split] ?? [split])
      .map((name) => join(images, name))
      .find((place) => existsSync(place));
    if (own !== undefined) splits.set(split, [own]);
  }
  return {
    path: folder,
    names: linesOf(list),
    splits: splits.size > 0 ? splits : new Map([["train", [images]]]),
  };
}

const sourceOf = (path: string): YoloSource =>
  statSync(path).isDirectory() ? parseFolder(path) : parseDataYaml(path);

export const yoloSplits = (path: string): string[] => [...sourceOf(path).splits.keys()];

function picturesOf(path: string): string[] {
  if (!existsSync(path))
    throw new EngineError("FILE", `${path}: there is no such folder or list of pictures`);
  if (!statSync(path).isDirectory())
    return linesOf(path).map((line) => (isAbsolute(line) ? line : join(dirname(path), line)));
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => pictureEndings.test(name))
    .map((name) => join(path, name))
    .sort();
}

/** The label file of a picture: its last folder "images" is "labels", its ending .txt. */
function labelFileOf(picture: string): string {
  return picture.replace(/^(.*)([\\/])images([\\/])/, "$1$2labels$3").replace(/\.[^.]+$/, ".txt");
}

type Shape = Pick<LabelledObject, "box" | "label" | "area" | "segmentation">;

/** A line: class, then centre and sides as shares of the picture's, or the corners of a polygon. */
function shapeOf(line: string, classes: number, width: number, height: number): Shape | string {
  const words = line.split(/\s+/);
  const [label, ...rest] = words.map(Number) as [number, ...number[]];
  if (!Number.isInteger(label) || label < 0 || label >= classes)
    return `expected a class from 0 to ${classes - 1}, got ${shown(words[0])}`;
  if (!rest.every(Number.isFinite) || (rest.length !== 4 && (rest.length < 6 || rest.length % 2 !== 0)))
    return `expected 4 numbers of a box or 6 and more of a polygon after the class, got ${shown(line)}`;
  if (rest.length === 4) {
    const [cx, cy, w, h] = rest as [number, number, number, number];
    if (Math.max(...rest) > 2) return `expected shares of the picture's sides, 0-1, got ${shown(line)}`;
    const [halfWidth, halfHeight] = [(w / 2) * width, (h / 2) * height];
    const [x, y] = [cx * width, cy * height];
    return {
      box: [x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight],
      label,
      area: w * width * h * height,
    };
  }
  const points = rest.map((value, i) => value * (i % 2 === 0 ? width : height));
  const [xs, ys] = [points.filter((_, i) => i % 2 === 0), points.filter((_, i) => i % 2 === 1)];
  const box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] as const;
  return { box, label, area: areaOf(xs, ys), segmentation: [points] };
}

/** Of a polygon (Gauss's shoelace). */
function areaOf(xs: readonly number[], ys: readonly number[]): number {
  let twice = 0;
  for (let i = 0, j = xs.length - 1; i < xs.length; j = i++)
    twice += (xs[j] as number) * (ys[i] as number) - (xs[i] as number) * (ys[j] as number);
  return Math.abs(twice) / 2;
}

async function recordOf(picture: string, classes: number, onProblem: OnProblem): Promise<ImageRecord> {
  // A picture that cannot be read keeps its place: the loader and `sepc data check` say what is wrong with it.
  const size = await readImageSize(picture).catch(() => ({ width: 1, height: 1 }));
  const file = labelFileOf(picture);
  const objects: LabelledObject[] = [];
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const shape = shapeOf(line.trim(), classes, size.width, size.height);
    if (typeof shape === "string") onProblem({ file, where: `line ${i + 1}`, detail: shape });
    else objects.push({ ...shape, id: 0, crowd: false });
  }
  return { id: 0, file: picture, ...size, objects };
}

/** Heads of pictures read at a time. */
const together = 16;

/**
 * YOLO's data.yaml, or a folder with images, labels and classes.txt.
 * @throws EngineError FILE, BAD_ARGUMENT as for {@link openDataset}, or as `onProblem` decides
 */
export async function readYolo(
  path: string,
  split: string,
  onProblem: OnProblem = refuse,
): Promise<DetectionDataset> {
  const { names, splits } = sourceOf(path);
  const places = splits.get(split);
  if (places === undefined)
    throw new EngineError(
      "BAD_ARGUMENT",
      `${path}: there is no split "${split}"; splits there: ${[...splits.keys()].join(", ")}`,
    );
  const pictures = places.flatMap(picturesOf);
  const images: ImageRecord[] = [];
  let id = 0;
  for (let first = 0; first < pictures.length; first += together) {
    const some = pictures.slice(first, first + together);
    for (const record of await Promise.all(some.map((one) => recordOf(one, names.length, onProblem)))) {
      const objects = record.objects.map((object) => ({ ...object, id: ++id }));
      images.push({ ...record, id: images.length + 1, objects });
    }
  }
  if (images.length > 0 && id === 0 && !images.some(({ file }) => existsSync(labelFileOf(file))))
    onProblem({
      file: path,
      where: split,
      detail: `no picture has a label file; expected ${labelFileOf(images[0]?.file ?? "")} and so on`,
    });
  return { name: `${path} (${split})`, categories: names.map((name, i) => ({ id: i, name })), images };
}

/** The data.yaml of a folder, or the folder itself where it has images and labels; null, it is not YOLO's. */
export function yoloIn(folder: string): string | null {
  const yaml = ["data.yaml", "data.yml", "dataset.yaml", `${basename(folder)}.yaml`]
    .map((name) => join(folder, name))
    .find((file) => existsSync(file));
  if (yaml !== undefined) return yaml;
  return existsSync(join(folder, "images")) && existsSync(join(folder, "labels")) ? folder : null;
}
