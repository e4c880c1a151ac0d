export { type Box, type BoxConvention, extraPixel, iouOfRows } from "./boxes.js";
export {
  type BoxCoder,
  type DeltaCoder,
  type DistanceCoder,
  decodeDelta,
  decodeTblr,
  largestLogRatio,
  type TblrCoder,
} from "./coders.js";
export {
  type Candidates,
  clipMargin,
  type DecodeSpec,
  type Detection,
  decode,
  type Frame,
  type Postprocess,
} from "./decode.js";
export { collate, type Normalisation } from "./image/collate.js";
export { keepRatio, resizeBilinear } from "./image/resize.js";
export { fromRgba, type RgbImage } from "./image/rgb.js";
export { byScore, type NmsOptions, nms, type SoftNmsOptions, softNms } from "./nms.js";
export {
  type AnchorPriors,
  anchorGrid,
  baseAnchors,
  type LevelSize,
  levelSizes,
  octaveScales,
  type PointPriors,
  type PriorSpec,
  pointGrid,
  priorsPerCell,
  validPriors,
} from "./priors.js";
export { type MapView, ModelError, type ModelSpec, type OffsetView, parseModelSpec } from "./spec.js";
