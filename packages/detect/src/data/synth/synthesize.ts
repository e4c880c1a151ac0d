import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { check } from "@sepc/engine";
import sharp from "sharp";
import { RandomStream } from "../random.js";
import { drawPicture, type PlacedShape } from "./picture.js";
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
  readonly clutter?: number | undefined;
  /** Share of each split, in order; they add up to 1. */
  readonly splits?: Readonly<Record<string, number>> | undefined;
  readonly onImage?: ((done: number) => void) | undefined;
}

interface Plan {
  readonly width: number;
  readonly height: number;
  readonly classes: readonly string[];
  readonly min: number;
  readonly max: number;
  readonly objects: number;
}

/** Objects of a picture: anywhere, mostly inside, any size. The largest first, so that small ones are not hidden. */
function place({ width, height, classes, min, max, objects }: Plan, random: RandomStream): PlacedShape[] {
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

/**
 * Makes a data set in COCO's format: shapes of a wide range of sizes, textured, over clutter, hiding each other. The
 * same options give the same files. Class is told by shape, not by size or colour.
 */
export async function synthesize(options: SynthOptions): Promise<void> {
  const {
    out,
    images,
    seed = 0,
    width = 320,
    height = 320,
    min = 8,
    max = 256,
    objects = 8,
    clutter = 12,
  } = options;
  const {
    classes = ["circle", "square", "triangle", "star"],
    splits = { train: 0.8, val: 0.2 },
    onImage,
  } = options;
  const unknown = classes.filter((name) => !Object.hasOwn(SHAPES, name));
  check(
    classes.length > 0 && unknown.length === 0,
    () => `synthesize: expected classes of ${Object.keys(SHAPES).join(", ")}, got ${classes.join(", ")}`,
  );
  check(min > 0 && max >= min, () => `synthesize: expected 0 < min <= max, got ${min} and ${max}`);
  const categories = classes.map((name, i) => ({ id: i + 1, name, supercategory: "shape" }));
  const files = new Map(
    Object.keys(splits).map((name) => [
      name,
      { images: [] as unknown[], annotations: [] as unknown[], categories },
    ]),
  );
  for (const name of files.keys()) mkdirSync(join(out, name), { recursive: true });
  mkdirSync(join(out, "annotations"), { recursive: true });
  let id = 0;
  for (let i = 0; i < images; i++) {
    const split = splitOf(i, images, splits);
    const random = new RandomStream(seed, i, 3);
    const shapes = place({ width, height, classes, min, max, objects }, random);
    const { image, drawn } = drawPicture(width, height, shapes, clutter, random);
    const fileName = `${String(i + 1).padStart(6, "0")}.png`;
    const raw = { raw: { width, height, channels: 3 as const } };
    await sharp(image.data, raw)
      .png({ compressionLevel: 3 })
      .toFile(join(out, split, fileName));
    const file = files.get(split);
    file?.images.push({ id: i + 1, file_name: fileName, width, height });
    for (const { placed, box, seen, whole } of drawn) {
      if (seen < leastSeen * whole || seen < 4) continue;
      file?.annotations.push({
        id: ++id,
        image_id: i + 1,
        category_id: classes.indexOf(placed.shape) + 1,
        bbox: [box[0], box[1], box[2] - box[0], box[3] - box[1]],
        area: seen,
        iscrowd: 0,
      });
    }
    onImage?.(i + 1);
  }
  for (const [name, file] of files)
    writeFileSync(join(out, "annotations", `${name}.json`), JSON.stringify(file));
}
