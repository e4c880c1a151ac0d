export type { Curves } from "./accumulate.js";
export {
  type ClassFigures,
  type CocoEvaluation,
  type EvalCounts,
  evaluateCoco,
  type SizeFigures,
  thresholdAt,
} from "./coco.js";
export {
  columnsOfResults,
  columnsOfTruth,
  EntryError,
  type ResultColumns,
  type TruthColumns,
} from "./columns.js";
export { type Confusion, type ConfusionOptions, confusionMatrix } from "./confusion.js";
export { type PrecisionRecall, precisionRecall } from "./curves.js";
export { type ReadResultsOptions, readResults } from "./json/results.js";
export { type ByteSource, JsonError } from "./json/scanner.js";
export { type ReadTruthOptions, readTruth } from "./json/truth.js";
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
export { analyseErrors, type ErrorFigure, type TideErrors, type TideOptions } from "./tide.js";
export { type ErrorKind, errorKinds } from "./tideJudge.js";
export {
  type Annotation,
  type AreaRange,
  cocoAreas,
  type EvalOptions,
  type EvalParams,
  type GroundTruth,
  type Result,
  type Segmentation,
} from "./types.js";
export { evaluateVoc, type VocClass, type VocEvaluation, type VocOptions, vocAp } from "./voc.js";
