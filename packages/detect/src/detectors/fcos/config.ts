import { z } from "zod";
import { backboneSchema, focalSchema, neckSchema, postprocessSchema, towerSchema } from "../schema.js";

/** FCOS (Tian et al. 2019). Defaults are the paper's settings; the improved variant's are options. */
export const fcosSchema = z.strictObject({
  detector: z.literal("fcos"),
  backbone: backboneSchema,
  neck: neckSchema.prefault({ extraFrom: "p5", reluBetweenExtra: true }),
  tower: towerSchema,
  /** Upper ends of the levels' ranges of box sizes, in pixels; the last level has none. */
  sizeLimits: z.array(z.number().positive()).default([64, 128, 256, 512]),
  /** Improved: points count only this near a box's centre, in strides. */
  centerRadius: z.number().positive().nullable().default(null),
  /** Improved: distances are in strides and come out of a ReLU, instead of pixels out of an exponential. */
  normalised: z.boolean().default(false),
  /** Improved: centre-ness is told by the box branch. */
  centernessOnBox: z.boolean().default(false),
  boxLoss: z.enum(["iou", "giou"]).default("iou"),
  focal: focalSchema.prefault({}),
  postprocess: postprocessSchema.prefault({}),
  legacyBoxes: z.boolean().default(false),
});

export type FcosConfig = z.infer<typeof fcosSchema>;
