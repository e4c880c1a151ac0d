import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RgbImage } from "@sepc/core";
import sharp from "sharp";
import { check, EngineError } from "../errors.js";
import { RandomStream } from "../random.js";
import { type Drawn, drawPicture, type PlacedShape } from "./picture.js";
import { SHAPES } from "./shapes.js";

export interface SynthOptions {
  /** Folder that the data set goes to; made when missing. */
  readonly out: string;
  readonly images: number;
  readonly seed?: number | undefined;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  /** Of {@link SHAPES}; four unless told. */
  readonly classes?: readonly string[] | undefined;
  /** Smallest and largest side of an object in pixels, drawn log-uniformly. */
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  /** Most objects of a picture. */
  readonly objects?: number | undefined;
  /** Lines of no class in a picture. */
  readonly clutter?: number | undefined;
  /** Format of the pictures: PNG, or JPEG of quality 90. */
  readonly format?: "png" | "jpeg" | undefined;
  /** Share of each split, in order; they add up to 1. */
  readonly splits?: Readonly<Record<string, number>> | undefined;
  readonly onImage?: ((done: number) => void) | undefined;
}

/** Objects of a picture: anywhere, mostly inside, any size. The largest first, so that small ones are not hidden. */
function place({ width, height, classes, min, max, objects }: Settings, random: RandomStream): PlacedShape[] {
  const count = random.whole(1, objects);
  const shapes = Array.from({ length: count }, (): PlacedShape => {
    const side = Math.min(
      Math.exp(random.between(Math.log(min), Math.log(max))),
      0.95 * Math.min(width, height),
    );
    const radius = side / 2;
    const inside = (length: number): number => random.between(0.7 * radius, length - 0.7 * radius);
    return {
      shape: random.pick(classes),
      x: inside(width),
      y: inside(height),
      radius,
      turn: random.between(0, 2 * Math.PI),
    };
  });
  return shapes.sort((a, b) => b.radius - a.radius);
}

/** Least share of an object that must be seen for it to be labelled. */
const leastSeen = 0.3;

/** The split of a picture by its number. */
function splitOf(i: number, images: number, splits: Readonly<Record<string, number>>): string {
  let upTo = 0;
  const names = Object.keys(splits);
  for (const name of names) {
    upTo += splits[name] as number;
    if (i < Math.round(upTo * images)) return name;
  }
  return names.at(-1) as string;
}

function checkOptions({ images, classes, min, max, width, height, objects, splits }: Settings): void {
  const unknown = classes.filter((name) => !Object.hasOwn(SHAPES, name));
  check(
    classes.length > 0 && unknown.length === 0 && new Set(classes).size === classes.length,
    () =>
      `synthesize: classes: expected some of ${Object.keys(SHAPES).join(", ")}, each once, got ${classes.join(", ")}`,
  );
  for (const [name, value] of Object.entries({ images, width, height, objects }))
    check(
      Number.isInteger(value) && value > 0,
      () => `synthesize: ${name}: expected a whole number from 1, got ${value}`,
    );
  check(min >= 4 && max >= min, () => `synthesize: expected 4 <= min <= max, got ${min} and ${max}`);
  check(
    min <= 0.95 * Math.min(width, height),
    () => `synthesize: objects of ${min} pixels do not fit ${width}x${height}: expected a smaller min`,
  );
  const shares = Object.values(splits);
  const sum = shares.reduce((total, share) => total + share, 0);
  check(
    shares.every((share) => share >= 0) && Math.abs(sum - 1) < 1e-6,
    () => `synthesize: splits: expected shares that add up to 1, got ${JSON.stringify(splits)}`,
  );
  check(
    Object.keys(splits).every((name) => /^[\w-]+$/.test(name)),
    () => `synthesize: splits: expected names of letters and digits, got ${Object.keys(splits).join(", ")}`,
  );
}

type Settings = Omit<Required<SynthOptions>, "onImage" | "out">;

function settingsOf(options: SynthOptions): Settings {
  const {
    images,
    seed = 0,
    width = 320,
    height = 320,
    min = 8,
    max = 256,
    objects = 8,
    clutter = 12,
  } = options;
  const { classes = ["circle", "square", "triangle", "star"], splits = { train: 0.8, val: 0.2 } } = options;
  return {
    images,
    seed,
    width,
    height,
    min,
    max,
    objects,
    clutter,
    classes,
    splits,
    format: options.format ?? "png",
  };
}

async function savePicture(
  { data, width, height }: RgbImage,
  format: "png" | "jpeg",
  path: string,
): Promise<void> {
  const picture = sharp(data, { raw: { width, height, channels: 3 } });
  const encoded = format === "png" ? picture.png({ compressionLevel: 3 }) : picture.jpeg({ quality: 90 });
  try {
    await encoded.toFile(path);
  } catch (cause) {
    throw new EngineError("FILE", `${path}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

/** Lists of a COCO file, as they grow. */
interface Annotated {
  readonly images: object[];
  readonly annotations: object[];
}

/** One picture and its objects that can be seen well enough. */
function draw(i: number, settings: Settings): { image: RgbImage; seen: Drawn[] } {
  const { width, height, clutter, seed } = settings;
  const random = new RandomStream(seed, i, 3);
  const { image, drawn } = drawPicture(width, height, place(settings, random), clutter, random);
  return { image, seen: drawn.filter(({ seen, whole }) => seen >= leastSeen * whole && seen >= 4) };
}

/**
 * Makes a data set in COCO's format: shapes of a wide range of sizes, textured, over clutter, hiding each other. The
 * same options give the same files. Class is told by shape, not by size or colour.
 * @throws EngineError BAD_ARGUMENT naming the option that is impossible, FILE when a file cannot be written
 */
export async function synthesize(options: SynthOptions): Promise<void> {
  const settings = settingsOf(options);
  checkOptions(settings);
  const { out, onImage } = options;
  const { images, width, height, classes, splits, format } = settings;
  const files = new Map(
    Object.keys(splits).map((name): [string, Annotated] => [name, { images: [], annotations: [] }]),
  );
  for (const name of [...files.keys(), "annotations"]) mkdirSync(join(out, name), { recursive: true });
  let id = 0;
  for (let i = 0; i < images; i++) {
    const split = splitOf(i, images, splits);
    const { image, seen } = draw(i, settings);
    const fileName = `${String(i + 1).padStart(6, "0")}.${format === "png" ? "png" : "jpg"}`;
    await savePicture(image, format, join(out, split, fileName));
    const file = files.get(split) as Annotated;
    file.images.push({ id: i + 1, file_name: fileName, width, height });
    for (const { placed, box, seen: area } of seen) {
      const bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]];
      const category_id = classes.indexOf(placed.shape) + 1;
      file.annotations.push({ id: ++id, image_id: i + 1, category_id, bbox, area, iscrowd: 0 });
    }
    onImage?.(i + 1);
  }
  const categories = classes.map((name, i) => ({ id: i + 1, name, supercategory: "shape" }));
  for (const [name, file] of files)
    writeFileSync(join(out, "annotations", `${name}.json`), JSON.stringify({ ...file, categories }));
}
