export {
  finishBatch,
  frameOf,
  type PreparedBatch,
  type PreparedPicture,
  prepareBatch,
  preparePicture,
} from "./batch.js";
export { type BatchResult, type DetectedObject, ModelDetector, type StageTimes } from "./detector.js";
export { metadataKey, readModelSpec } from "./metadata.js";
export {
  type OpenSessionOptions,
  type OrtInferenceSession,
  type OrtModule,
  OrtSession,
  type OrtTensor,
  openSession,
} from "./ort.js";
export type { Session, TensorData } from "./session.js";
export {
  cellAt,
  type HeatMap,
  heatMap,
  type InputPoint,
  mapExtent,
  samplingPoints,
  type Tap,
} from "./views.js";
