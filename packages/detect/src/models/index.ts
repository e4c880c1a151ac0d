export { ResNet, type ResNetConfig } from "./backbones/resnet.js";
export type { Level } from "./level.js";
export { OffsetConv, type OffsetConvConfig } from "./necks/sepc/offsetConv.js";
export { PConv, type PConvConfig } from "./necks/sepc/pconv.js";
export { buildPyramidNorm, PyramidNorm, type PyramidNormKind } from "./necks/sepc/pyramidNorm.js";
export { type BranchFeatures, Sepc, type SepcConfig } from "./necks/sepc/sepc.js";
