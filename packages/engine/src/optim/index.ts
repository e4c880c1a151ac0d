export { AdamW, type AdamWOptions } from "./adamw.js";
export { type ClipOptions, clipGradNorm_, clipGradValue_ } from "./clip.js";
export { GradScaler, type GradScalerOptions, type GradScalerState, type ScaledOptimizer } from "./gradScaler.js";
export { type FilledGroup, Optimizer, type OptimizerState, type ParamGroup } from "./optimizer.js";
export {
  constantWarmup,
  cosineSchedule,
  linearWarmup,
  multiStepSchedule,
  product,
  type Schedule,
  Scheduler,
  stepSchedule,
} from "./schedule.js";
export { SGD, type SGDOptions } from "./sgd.js";
