export {
  Conv2d,
  type Conv2dConfig,
  ConvTranspose2d,
  type ConvTranspose2dConfig,
  type LayerOptions,
  Linear,
  type LinearConfig,
  type Pair,
  pair,
} from "./conv.js";
export * as init from "./init.js";
export { Layer } from "./layer.js";
export * from "./layers.js";
export { Buffer, type LoadReport, Module, Parameter, type StateDict } from "./module.js";
export {
  BatchNorm2d,
  type BatchNorm2dConfig,
  GroupNorm,
  type GroupNormConfig,
  LayerNorm,
  type LayerNormConfig,
} from "./norm.js";
