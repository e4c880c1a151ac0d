export {
  finishBatch,
  type PreparedBatch,
  type PreparedPicture,
  prepareBatch,
  preparePicture,
} from "./batch.js";
export { type BatchResult, type DetectedObject, ModelDetector, type StageTimes } from "./detector.js";
export { metadataKey, readModelSpec } from "./metadata.js";
export type { Session, TensorData } from "./session.js";
