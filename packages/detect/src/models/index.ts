export { ResNet, type ResNetConfig } from "./backbones/resnet.js";
export type { Level } from "./level.js";
