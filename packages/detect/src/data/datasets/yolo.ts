import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { EngineError } from "@sepc/engine";
import sharp from "sharp";
import { parse } from "yaml";
import type { DetectionDataset, ImageRecord, LabelledObject } from "../types.js";

const pictureEndings = /\.(jpe?g|png|webp|bmp|tiff?|gif|avif)$/i;

interface YoloFile {
  readonly root: string;
  readonly names: readonly string[];
  readonly splits: Readonly<Record<string, unknown>>;
}

function parseDataYaml(path: string): YoloFile {
  let raw: Record<string, unknown> | null;
  try {
    raw = parse(readFileSync(path, "utf8")) as Record<string, unknown> | null;
  } catch (cause) {
    throw new EngineError("FILE", `${path}: ${(cause as Error).message}`, { cause });
  }
  const { names, path: base } = raw ?? {};
  const list = Array.isArray(names)
    ? names
    : Object.values((names as Record<string, unknown> | undefined) ?? {});
  if (list.length === 0)
    throw new EngineError(
      "BAD_ARGUMENT",
      `${path}: expected names, a list or map of classes, got ${JSON.stringify(names)}`,
    );
  const root =
    typeof base === "string" ? (isAbsolute(base) ? base : join(dirname(path), base)) : dirname(path);
  return { root: existsSync(root) ? root : dirname(path), names: list.map(String), splits: raw ?? {} };
}

function picturesOf(path: string): string[] {
  if (!existsSync(path))
    throw new EngineError("FILE", `${path}: there is no such folder or list of pictures`);
  if (statSync(path).isDirectory())
    return readdirSync(path, { recursive: true, encoding: "utf8" })
      .filter((name) => pictureEndings.test(name))
      .map((name) => join(path, name))
      .sort();
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.trim());
  return lines.filter(Boolean).map((line) => (isAbsolute(line) ? line : join(dirname(path), line)));
}

/** The label file of a picture: its last folder "images" is "labels", its ending .txt. */
function labelFileOf(picture: string): string {
  return picture.replace(/^(.*)([\\/])images([\\/])/, "$1$2labels$3").replace(/\.[^.]+$/, ".txt");
}

/** A line: class, then centre and sides as shares of the picture's, or the corners of a polygon. */
function objectOf(
  line: string,
  where: string,
  classes: number,
  width: number,
  height: number,
): LabelledObject {
  const values = line.split(/\s+/).map(Number);
  const [label, ...rest] = values as [number, ...number[]];
  if (!Number.isInteger(label) || label < 0 || label >= classes)
    throw new EngineError(
      "BAD_ARGUMENT",
      `${where}: expected a class from 0 to ${classes - 1}, got "${line.split(/\s+/)[0]}"`,
    );
  if (!rest.every(Number.isFinite) || (rest.length !== 4 && (rest.length < 6 || rest.length % 2 !== 0)))
    throw new EngineError(
      "BAD_ARGUMENT",
      `${where}: expected 4 numbers of a box or 6 and more of a polygon, got "${line}"`,
    );
  if (rest.length === 4) {
    const [cx, cy, w, h] = rest as [number, number, number, number];
    const box = [
      (cx - w / 2) * width,
      (cy - h / 2) * height,
      (cx + w / 2) * width,
      (cy + h / 2) * height,
    ] as const;
    return { id: 0, box, label, crowd: false, area: w * width * h * height };
  }
  const points = rest.map((value, i) => value * (i % 2 === 0 ? width : height));
  const [xs, ys] = [points.filter((_, i) => i % 2 === 0), points.filter((_, i) => i % 2 === 1)];
  const box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] as const;
  return {
    id: 0,
    box,
    label,
    crowd: false,
    area: (box[2] - box[0]) * (box[3] - box[1]),
    segmentation: [points],
  };
}

async function recordOf(picture: string, id: number, classes: number): Promise<ImageRecord> {
  // A picture that cannot be read keeps its place: the loader says what is wrong with it.
  const size = await sharp(picture)
    .metadata()
    .catch(() => ({ width: 1, height: 1, orientation: 1 }));
  const turned = (size.orientation ?? 1) >= 5;
  const [width, height] = turned ? [size.height, size.width] : [size.width, size.height];
  const labels = labelFileOf(picture);
  const lines = existsSync(labels) ? readFileSync(labels, "utf8").split("\n") : [];
  const objects = lines.flatMap((line, i) =>
    line.trim() === ""
      ? []
      : [{ ...objectOf(line.trim(), `${labels}:${i + 1}`, classes, width, height), id: i + 1 }],
  );
  return { id, file: picture, width, height, objects };
}

/** YOLO's data.yaml, with folders images and labels beside each other. */
export async function readYolo(path: string, split = "train"): Promise<DetectionDataset> {
  const { root, names, splits } = parseDataYaml(path);
  const value = splits[split] ?? (split === "val" ? splits.valid : undefined);
  if (value === undefined) throw new EngineError("BAD_ARGUMENT", `${path}: there is no split "${split}"`);
  const places = (Array.isArray(value) ? value : [value]).map((place) => {
    const text = String(place);
    const found = [join(root, text), join(dirname(path), text.replace(/^(\.\.\/)+/, ""))].find((file) =>
      existsSync(file),
    );
    return isAbsolute(text) ? text : (found ?? join(root, text));
  });
  const images: ImageRecord[] = [];
  for (const picture of places.flatMap(picturesOf))
    images.push(await recordOf(picture, images.length + 1, names.length));
  return { name: `${path} (${split})`, categories: names.map((name, id) => ({ id, name })), images };
}
