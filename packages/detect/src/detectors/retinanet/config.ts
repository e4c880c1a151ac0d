import { z } from "zod";
import {
  anchorSchema,
  assignerSchema,
  backboneSchema,
  coderSchema,
  focalSchema,
  neckSchema,
  postprocessSchema,
  towerSchema,
} from "../schema.js";

/** RetinaNet (Lin et al. 2017) with any head tower. Defaults are the paper's settings. */
export const retinaNetSchema = z.strictObject({
  detector: z.literal("retinanet"),
  backbone: backboneSchema,
  neck: neckSchema.prefault({}),
  tower: towerSchema,
  anchors: anchorSchema.prefault({}),
  assigner: assignerSchema.prefault({}),
  coder: coderSchema.prefault({}),
  focal: focalSchema.prefault({}),
  /** Where smooth L1 becomes straight. */
  beta: z.number().min(0).default(0.11),
  allowedBorder: z.int().min(-1).default(-1),
  postprocess: postprocessSchema.prefault({}),
  /** mmdetection 1.x's conventions of boxes: for its weights. */
  legacyBoxes: z.boolean().default(false),
});

export type RetinaNetConfig = z.infer<typeof retinaNetSchema>;
