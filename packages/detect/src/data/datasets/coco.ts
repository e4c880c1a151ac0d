import { readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "@sepc/engine";
import { z } from "zod";
import type { Category, CocoSegmentation, DetectionDataset, ImageRecord, LabelledObject } from "../types.js";

const finite = z.number();
const schema = z.object({
  images: z.array(
    z.object({
      id: finite,
      file_name: z.string().min(1),
      width: finite.positive(),
      height: finite.positive(),
    }),
  ),
  annotations: z
    .array(
      z.object({
        id: finite.optional(),
        image_id: finite,
        category_id: finite,
        bbox: z.tuple([finite, finite, finite, finite]),
        area: finite.optional(),
        iscrowd: finite.optional(),
        segmentation: z.custom<CocoSegmentation>().optional(),
      }),
    )
    .default([]),
  categories: z.array(z.object({ id: finite, name: z.string() })).min(1),
});

type CocoFile = z.infer<typeof schema>;

/**
 * Reads and checks an annotation file.
 * @throws EngineError FILE when it cannot be read, BAD_ARGUMENT naming the first entries that are wrong.
 */
export function parseCoco(path: string): CocoFile {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new EngineError("FILE", `${path}: ${(cause as Error).message}`, { cause });
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues
    .slice(0, 5)
    .map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
  throw new EngineError(
    "BAD_ARGUMENT",
    `${path}: expected COCO annotations, but:\n${issues.join("\n")}${parsed.error.issues.length > 5 ? `\n  and ${parsed.error.issues.length - 5} more` : ""}`,
  );
}

function objectOf(
  annotation: CocoFile["annotations"][number],
  place: number,
  labels: ReadonlyMap<number, number>,
  path: string,
): LabelledObject {
  const label = labels.get(annotation.category_id);
  if (label === undefined) {
    throw new EngineError(
      "BAD_ARGUMENT",
      `${path}: annotations.${place}: category_id ${annotation.category_id} is none of the file's categories`,
    );
  }
  const [x, y, width, height] = annotation.bbox;
  return {
    id: annotation.id ?? place + 1,
    box: [x, y, x + width, y + height],
    label,
    crowd: annotation.iscrowd === 1,
    area: annotation.area ?? width * height,
    segmentation: annotation.segmentation,
  };
}

/** COCO's format. `images` is the folder of the pictures. */
export function readCoco(path: string, images: string): DetectionDataset {
  const file = parseCoco(path);
  const categories: Category[] = [...file.categories].sort((a, b) => a.id - b.id);
  const labels = new Map(categories.map(({ id }, label) => [id, label]));
  const objects = new Map<number, LabelledObject[]>(file.images.map(({ id }) => [id, []]));
  for (const [place, annotation] of file.annotations.entries()) {
    const own = objects.get(annotation.image_id);
    if (own === undefined) {
      throw new EngineError(
        "BAD_ARGUMENT",
        `${path}: annotations.${place}: image_id ${annotation.image_id} is none of the file's images`,
      );
    }
    own.push(objectOf(annotation, place, labels, path));
  }
  const records: ImageRecord[] = file.images.map(({ id, file_name, width, height }) => ({
    id,
    file: join(images, file_name),
    width,
    height,
    objects: objects.get(id) ?? [],
  }));
  return { name: path, categories, images: records };
}
