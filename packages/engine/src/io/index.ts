export { removeLeftovers, writeAtomically } from "./atomicWrite.js";
export { PickledGlobal, PickledObject } from "./pickle/objects.js";
export {
  type PyTorchValue,
  parsePyTorch,
  type ReadEntriesOptions,
  type ReadPyTorchOptions,
  type ReadStateDictOptions,
  readPyTorch,
  readStateDict,
} from "./pytorch.js";
export {
  inspectSafetensors,
  openSafetensors,
  parseSafetensors,
  type ReadOptions,
  readSafetensors,
  type Safetensors,
  SafetensorsFile,
  writeSafetensors,
} from "./safetensors.js";
export type { SafetensorsHeader, TensorEntry } from "./safetensorsHeader.js";
