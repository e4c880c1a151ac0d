// The parts that configurations of detectors share. Unknown keys are refused.
import { type AnchorPriors, octaveScales } from "@sepc/core";
import { z } from "zod";

const positive = z.int().positive();

const stage = z.enum(["c2", "c3", "c4", "c5"]);

const backboneFields = z.strictObject({
  depth: z.literal([18, 34, 50, 101]),
  /** Channels of the stem; 64 in the papers, fewer for small models. */
  width: positive.default(64),
  groups: positive.default(1),
  widthPerGroup: positive.default(64),
  style: z.enum(["pytorch", "caffe"]).default("pytorch"),
  /** Stages with deformable bottlenecks: ["c3", "c4", "c5"] in the papers. */
  deformableStages: z.array(stage).default([]),
  /** 0 none, 1 the stem, 2 the stem and the first stage ... */
  frozenStages: z.literal([0, 1, 2, 3, 4, 5]).default(2),
  /** Whether batch normalisation keeps its running statistics in training. */
  normEval: z.boolean().default(true),
});

export const backboneSchema = backboneFields.refine(
  ({ depth, deformableStages }) => depth >= 50 || deformableStages.length === 0,
  { path: ["deformableStages"], error: "expected a depth with bottlenecks (50 or 101), or no stages" },
);

export const neckSchema = z.strictObject({
  channels: positive.default(256),
  /** P3 to P7 are five. */
  levels: z.int().min(3).max(7).default(5),
  /** Where P6 comes from. */
  extraFrom: z.enum(["c5", "p5"]).default("c5"),
  /** A ReLU between P6 and the convolution that makes P7. */
  reluBetweenExtra: z.boolean().default(false),
});

export const towerSchema = z.strictObject({
  kind: z.enum(["plain", "pconv", "sepc-lite", "sepc", "deformable"]),
  /** Stacked convolutions; 4 in the papers. */
  depth: z.int().min(0).default(4),
  norm: z.enum(["none", "shared", "independent", "integrated", "group"]).default("none"),
  branches: z.enum(["combined", "separate"]).default("combined"),
  /** Levels that a pyramid convolution reaches over; odd. */
  scaleKernel: positive.refine((size) => size % 2 === 1, "expected an odd number").default(3),
  /** 1 keeps maps at their level's size (the paper); 0 is what the official weights need. */
  extraPadding: z.literal([0, 1]).default(1),
});

export const anchorSchema = z.strictObject({
  /** Side of the smallest anchor, in strides. */
  base: z.number().positive().default(4),
  scalesPerOctave: positive.default(3),
  /** Height over width. */
  ratios: z.array(z.number().positive()).min(1).default([0.5, 1, 2]),
});

/** Stride of each level, finest first: P3's is 8. */
export const stridesOf = (levels: number): number[] => Array.from({ length: levels }, (_, i) => 8 * 2 ** i);

/** A detector's anchors from its configuration. */
export function anchorsOf(config: {
  readonly anchors: z.infer<typeof anchorSchema>;
  readonly neck: { readonly levels: number };
  readonly legacyBoxes: boolean;
}): AnchorPriors {
  const { anchors, neck, legacyBoxes } = config;
  return {
    kind: "anchors",
    strides: stridesOf(neck.levels),
    ratios: anchors.ratios,
    scales: octaveScales(anchors.base, anchors.scalesPerOctave),
    legacyBoxes,
  };
}

const share = z.number().min(0).max(1);

export const postprocessSchema = z.strictObject({
  perLevel: positive.default(1000),
  scoreThreshold: share.default(0.05),
  iouThreshold: share.default(0.5),
  maxPerImage: positive.default(100),
  suppression: z.enum(["hard", "softLinear", "softGaussian"]).default("hard"),
});

const four = z.tuple([z.number(), z.number(), z.number(), z.number()]);

export const coderSchema = z.strictObject({
  means: four.default([0, 0, 0, 0]),
  stds: four.default([1, 1, 1, 1]),
});

export const focalSchema = z.strictObject({
  gamma: z.number().min(0).default(2),
  alpha: share.default(0.25),
});

export const assignerSchema = z.strictObject({
  positiveIou: share.default(0.5),
  negativeIou: z
    .union([share, z.tuple([share, share])], "expected a number from 0 to 1, or two")
    .default(0.4),
  minPositiveIou: share.default(0),
  takeAllTies: z.boolean().default(true),
  ignoreIof: z.number().min(-1).max(1).default(-1),
  ignoreOfPriors: z.boolean().default(true),
});

export type BackboneConfig = z.infer<typeof backboneSchema>;
export type NeckConfig = z.infer<typeof neckSchema>;
export type TowerChoice = z.infer<typeof towerSchema>;
