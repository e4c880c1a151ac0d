import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { EngineError } from "@sepc/engine";
import { parseCoco, readCoco } from "./datasets/coco.js";
import { readVoc } from "./datasets/voc.js";
import { readYolo } from "./datasets/yolo.js";
import type { DetectionDataset } from "./types.js";

export interface OpenOptions {
  /** "train", "val", "test"; needed for folders that hold several. */
  readonly split?: string | undefined;
  /** Folder of the pictures, where it is not beside the annotations. */
  readonly images?: string | undefined;
}

const accepted =
  "a COCO .json, a folder with annotations/*.json, a Pascal VOC folder (Annotations, JPEGImages) or a YOLO data.yaml";

/** The folder that holds the pictures of a COCO file. */
function cocoImages(path: string): string {
  const base = dirname(path);
  const first = parseCoco(path).images[0]?.file_name ?? "";
  const split = /(train|val|test)[a-z]*\d*/.exec(path.slice(base.length))?.[0] ?? "";
  const places = [base, dirname(base)].flatMap((folder) => [
    join(folder, split),
    folder,
    ...["images", "JPEGImages", join("images", split)].map((name) => join(folder, name)),
  ]);
  return places.find((folder) => existsSync(join(folder, first))) ?? base;
}

/** The annotation file of a split: its name holds the split's, and of several the one that is no caption or keypoint. */
function cocoFile(folder: string, split: string | undefined): string | undefined {
  const places = [join(folder, "annotations"), folder].filter((place) => existsSync(place));
  const files = places.flatMap((place) =>
    readdirSync(place)
      .filter((name) => name.endsWith(".json") && !/captions|keypoints|stuff|panoptic|provenance/.test(name))
      .map((name) => join(place, name)),
  );
  const own = split === undefined ? files : files.filter((file) => file.slice(folder.length).includes(split));
  return own.sort((a, b) => a.length - b.length || a.localeCompare(b))[0];
}

/**
 * Opens a data set of any known format.
 * @throws EngineError FILE when there is nothing, BAD_ARGUMENT when it is no known format or its entries are wrong.
 */
export async function openDataset(path: string, options: OpenOptions = {}): Promise<DetectionDataset> {
  const place = resolve(path);
  const { split, images } = options;
  if (!existsSync(place))
    throw new EngineError("FILE", `${path}: there is no such data set; expected ${accepted}`);
  if (statSync(place).isFile()) {
    if (/\.ya?ml$/.test(place)) return readYolo(place, split);
    return readCoco(place, images ?? cocoImages(place));
  }
  const yaml = ["data.yaml", "data.yml", "dataset.yaml"]
    .map((name) => join(place, name))
    .find((file) => existsSync(file));
  if (yaml !== undefined) return readYolo(yaml, split);
  const json = cocoFile(place, split);
  if (json !== undefined) return readCoco(json, images ?? cocoImages(json));
  if (existsSync(join(place, "Annotations"))) return readVoc(place, split);
  throw new EngineError(
    "BAD_ARGUMENT",
    `${path}: expected ${accepted}${split ? ` with split "${split}"` : ""}`,
  );
}
