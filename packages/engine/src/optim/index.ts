export { Adam, type AdamOptions, AdamW, type AdamWOptions } from "./adam.js";
export { type ClipOptions, clipGradNorm_, clipGradValue_ } from "./clip.js";
export {
  GradScaler,
  type GradScalerOptions,
  type GradScalerState,
  type ScaledOptimizer,
} from "./gradScaler.js";
export { type FilledGroup, Optimizer, type OptimizerState, type ParamGroup } from "./optimizer.js";
export {
  constantWarmup,
  cosineSchedule,
  linearWarmup,
  multiStepSchedule,
  product,
  type Schedule,
  Scheduler,
  type SchedulerState,
  stepSchedule,
} from "./schedule.js";
export { SGD, type SGDOptions } from "./sgd.js";
