import { z } from "zod";
import { backboneSchema, focalSchema, neckSchema, postprocessSchema, towerSchema } from "../schema.js";

const share = z.number().min(0).max(1);

/** FSAF's anchor-free branch (Zhu et al. 2019) as the paper's code has it. Defaults are its settings. */
export const fsafSchema = z.strictObject({
  detector: z.literal("fsaf"),
  backbone: backboneSchema,
  neck: neckSchema.prefault({}),
  tower: towerSchema,
  assigner: z
    .strictObject({ effective: share.default(0.2), ignored: share.default(0.2), minIof: share.default(0.01) })
    .prefault({}),
  focal: focalSchema.prefault({}),
  postprocess: postprocessSchema.prefault({}),
  legacyBoxes: z.boolean().default(false),
});

export type FsafConfig = z.infer<typeof fsafSchema>;
