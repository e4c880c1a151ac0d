export { type Aten, aten, operators } from "./aten/index.js";
export { type AutocastOptions, autocast } from "./autocast.js";
export * from "./autograd.js";
export * from "./create.js";
export * from "./device.js";
export * as distributed from "./distributed/index.js";
export {
  hasOp,
  type Op,
  Opaque,
  type OpOptions,
  type OpResult,
  type OpValue,
  op,
  type Recorder,
  setRecorder,
  tensorOp,
} from "./door.js";
export { DTYPES, type DType, type TypedArray } from "./dtype.js";
export { check, EngineError, type EngineErrorCode } from "./errors.js";
export { type GradcheckOptions, gradcheck, gradgradcheck } from "./gradcheck.js";
export * as io from "./io/index.js";
export type { Schema, SchemaArgument } from "./native.js";
export * as nn from "./nn/index.js";
export * as ops from "./ops/index.js";
export * as optim from "./optim/index.js";
export type { Nested } from "./print.js";
export * from "./random.js";
export { keep, liveTensors, scope } from "./scope.js";
export { type Device, sharesStorage, Tensor } from "./tensor.js";
