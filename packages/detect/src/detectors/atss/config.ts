import { z } from "zod";
import {
  backboneSchema,
  coderSchema,
  focalSchema,
  neckSchema,
  postprocessSchema,
  towerSchema,
} from "../schema.js";

/** ATSS (Zhang et al. 2020). Defaults are the paper's settings. */
export const atssSchema = z.strictObject({
  detector: z.literal("atss"),
  backbone: backboneSchema,
  neck: neckSchema.extend({ extraFrom: z.enum(["c5", "p5"]).default("p5") }).prefault({}),
  tower: towerSchema,
  /** Side of a cell's one square anchor, in strides. */
  anchorSide: z.number().positive().default(8),
  assigner: z.strictObject({ candidates: z.int().positive().default(9) }).prefault({}),
  coder: coderSchema.prefault({ stds: [0.1, 0.1, 0.2, 0.2] }),
  focal: focalSchema.prefault({}),
  /** Weight of the overlap loss. */
  boxWeight: z.number().min(0).default(2),
  postprocess: postprocessSchema.extend({ iouThreshold: z.number().min(0).max(1).default(0.6) }).prefault({}),
  /** mmdetection 1.x's conventions of boxes: for its weights. */
  legacyBoxes: z.boolean().default(false),
});

export type AtssConfig = z.infer<typeof atssSchema>;
