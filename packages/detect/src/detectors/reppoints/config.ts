import { z } from "zod";
import {
  assignerSchema,
  backboneSchema,
  focalSchema,
  neckSchema,
  postprocessSchema,
  towerSchema,
} from "../schema.js";

const weight = z.number().min(0);

/** RepPoints (Yang et al. 2019). Defaults are the settings of its authors' code. */
export const repPointsSchema = z.strictObject({
  detector: z.literal("reppoints"),
  backbone: backboneSchema,
  neck: neckSchema.prefault({}),
  tower: towerSchema,
  /** Side of the kernel whose taps the points are: 3 makes 9 points. */
  kernelSize: z
    .int()
    .min(3)
    .refine((size) => size % 2 === 1, "expected an odd number")
    .default(3),
  /** How points become a box (section 3.2). */
  boxFrom: z.enum(["minmax", "partialMinmax", "moment"]).default("moment"),
  /** How much of its gradient the learned scale of the moments keeps. */
  momentGradient: z.number().min(0).default(0.01),
  /** How much of their gradient the offsets of the deformable kernels pass on to the first points. */
  offsetGradient: z.number().min(0).default(0.1),
  /** Side of a level's typical box, in strides: the unit of the point losses. */
  baseScale: z.number().positive().default(4),
  /** First stage: a box takes this many points, the nearest to its centre. */
  pointsPerBox: z.int().positive().default(1),
  /** Second stage: by overlap with the boxes of the first points. */
  assigner: assignerSchema.prefault({}),
  focal: focalSchema.prefault({}),
  /** Where smooth L1 becomes straight. */
  beta: z.number().min(0).default(0.11),
  initWeight: weight.default(0.5),
  refineWeight: weight.default(1),
  postprocess: postprocessSchema.prefault({}),
  /** mmdetection 1.x's conventions of boxes: for its weights. */
  legacyBoxes: z.boolean().default(false),
});

export type RepPointsConfig = z.infer<typeof repPointsSchema>;
