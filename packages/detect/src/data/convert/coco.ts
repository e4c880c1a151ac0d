import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NamedSplit } from "../splits.js";
import type { ImageRecord } from "../types.js";

/** Ids of a split, or counts from 1 where an id is there twice. */
function idsOf(ids: readonly number[]): number[] {
  return new Set(ids).size === ids.length ? [...ids] : ids.map((_, i) => i + 1);
}

/** Rounded to what matters, so that shares of sides come back as the numbers they were. */
const tidy = (value: number): number => Number(value.toFixed(6));

/** A split in COCO's format; `names` are those of its pictures in their folder. */
export function writeCoco(out: string, { split, dataset }: NamedSplit, names: readonly string[]): void {
  const { categories, images } = dataset;
  const imageIds = idsOf(images.map(({ id }) => id));
  const objects = images.flatMap((image, i) =>
    image.objects.map((object) => ({ object, image: imageIds[i] })),
  );
  const objectIds = idsOf(objects.map(({ object }) => object.id));
  const annotations = objects.map(({ object, image }, i) => {
    const [x1, y1, x2, y2] = object.box;
    return {
      id: objectIds[i],
      image_id: image,
      category_id: categories[object.label]?.id,
      bbox: [x1, y1, x2 - x1, y2 - y1].map(tidy),
      area: tidy(object.area),
      iscrowd: object.crowd ? 1 : 0,
      ...(object.segmentation === undefined ? {} : { segmentation: object.segmentation }),
    };
  });
  const entry = ({ width, height }: ImageRecord, i: number): object => ({
    id: imageIds[i],
    file_name: names[i],
    width,
    height,
  });
  mkdirSync(join(out, "annotations"), { recursive: true });
  const text = JSON.stringify({ images: images.map(entry), annotations, categories });
  writeFileSync(join(out, "annotations", `${split}.json`), text);
}
