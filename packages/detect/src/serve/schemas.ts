import { z } from "zod";

const milliseconds = z.number().min(0);

const objectSchema = z.strictObject({
  label: z.string().describe("Name of the class"),
  category_id: z.int().min(1).describe("Place among the model's classes, from 1"),
  score: z.number().min(0).max(1),
  bbox: z
    .array(z.number())
    .length(4)
    .describe("[x, y, width, height] in pixels of the picture, as in COCO's files"),
  box: z
    .strictObject({ x: z.number(), y: z.number(), width: z.number(), height: z.number() })
    .describe("The same by name; x and y are the upper left corner"),
});

const resultSchema = z.strictObject({
  name: z.string().describe('The file\'s name where the request gave one; else "picture"'),
  image: z
    .strictObject({ width: z.int().min(1), height: z.int().min(1) })
    .describe("Pixels, turned upright as the file's EXIF orientation says"),
  objects: z.array(objectSchema).describe("Best first"),
  batch_size: z.int().min(1).describe("Pictures that went through the network together"),
  timings_ms: z
    .strictObject({
      receive: milliseconds.describe("The whole body's arrival"),
      decode: milliseconds,
      wait: milliseconds.describe("For a place in a batch"),
      infer: milliseconds.describe("The batch in the network, with resizing and suppression"),
    })
    .describe("Milliseconds by stage"),
});

const modelSchema = z.strictObject({
  name: z.string(),
  detector: z.string().nullable().describe('As "retinanet"'),
  classes: z.array(z.strictObject({ category_id: z.int().min(1), label: z.string() })),
  input: z
    .strictObject({
      scale: z
        .array(z.int().min(1))
        .length(2)
        .describe("Long and short side in pixels: a picture is made as large as both allow"),
      size_divisor: z.int().min(1),
      mean: z.array(z.number()).length(3),
      std: z.array(z.number()).length(3),
      channels: z.string(),
    })
    .nullable(),
  precision: z.string(),
  limits: z.strictObject({
    max_bytes: z.int(),
    max_pixels: z.int(),
    max_pictures: z.int(),
    max_objects: z.int(),
    least_score: z.number(),
    default_score: z.number(),
  }),
});

/** Bodies of answers as zod sees them; the description for clients is made from these. */
export const schemas = {
  Result: resultSchema,
  Results: z.strictObject({ results: z.array(resultSchema) }),
  Model: modelSchema,
  Problem: z.strictObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe("What was expected, what came and what to do, for people"),
  }),
  Health: z.strictObject({ status: z.string() }),
};

export type Result = z.infer<typeof schemas.Result>;
export type Model = z.infer<typeof schemas.Model>;
