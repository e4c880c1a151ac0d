export type { DetectAll } from "./batcher.js";
export { loadModel, type ModelDescription, type ModelSource, type ServedModel } from "./model.js";
export { defaultOptions, type ServeOptions } from "./options.js";
export { type RunningServer, startServer } from "./server.js";
