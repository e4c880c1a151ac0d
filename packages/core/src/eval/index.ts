export type { Curves } from "./accumulate.js";
export { type ClassFigures, type CocoEvaluation, evaluateCoco } from "./coco.js";
export {
  areaOf,
  boundsOf,
  decodeCounts,
  encodeCounts,
  fromPolygon,
  merge,
  type Rle,
  sharedPixels,
  toRle,
} from "./rle.js";
export {
  type AreaRange,
  cocoAreas,
  type EvalOptions,
  type EvalParams,
  type GroundTruth,
  type Result,
  type Segmentation,
} from "./types.js";
