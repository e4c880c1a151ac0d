export type { Box, Detection, Postprocess, RgbImage } from "@sepc/core";
export { decodeImage } from "./data/decode.js";
export { DataLoader, type LoaderOptions } from "./data/loader.js";
export { type OpenOptions, openDataset } from "./data/open.js";
export { type SynthOptions, synthesize } from "./data/synth/synthesize.js";
export type { Batch, Category, DetectionDataset, ImageRecord, LabelledObject, Sample } from "./data/types.js";
export {
  buildDetector,
  type DetectorConfig,
  DetectorNetwork,
  detectorNames,
  parseDetector,
} from "./detectors/index.js";
export { evaluateDetections, groundTruthOf, metricsOf, resultsOf } from "./evaluation/dataset.js";
export { type ExportDescription, type ExportModelOptions, exportModel } from "./export/exportModel.js";
export { type DetectedObject, Detector, type ImageSource, type LoadOptions } from "./inference/detector.js";
export { drawDetections } from "./inference/draw.js";
export { detectStream, type StreamItem, type StreamOptions, type StreamResult } from "./inference/stream.js";
export { type ConfigFile, preset, presetNames } from "./presets/index.js";
export { parseRunConfig, type RunConfig, type RunConfigInput } from "./train/config.js";
export { type FitOptions, type FitResult, fit, type StepReport } from "./train/fit.js";
