import { z } from "zod";
import {
  anchorSchema,
  backboneSchema,
  coderSchema,
  neckSchema,
  postprocessSchema,
  towerSchema,
} from "../schema.js";

/** FreeAnchor (Zhang et al. 2019) on RetinaNet's network. Defaults are the paper's settings. */
export const freeAnchorSchema = z.strictObject({
  detector: z.literal("freeanchor"),
  backbone: backboneSchema,
  neck: neckSchema.prefault({}),
  tower: towerSchema,
  anchors: anchorSchema.prefault({}),
  coder: coderSchema.prefault({ stds: [0.1, 0.1, 0.2, 0.2] }),
  /** Anchors in each object's bag. */
  bagSize: z.int().positive().default(50),
  /** Overlap from which a predicted box may be an object's. */
  boxThreshold: z.number().min(0).max(1).default(0.6),
  gamma: z.number().min(0).default(2),
  alpha: z.number().min(0).max(1).default(0.5),
  /** Where smooth L1 becomes straight, and its weight. */
  beta: z.number().min(0).default(0.11),
  boxWeight: z.number().positive().default(0.75),
  postprocess: postprocessSchema.prefault({}),
  legacyBoxes: z.boolean().default(false),
});

export type FreeAnchorConfig = z.infer<typeof freeAnchorSchema>;
