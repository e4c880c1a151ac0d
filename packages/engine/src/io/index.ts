export {
  inspectSafetensors,
  parseSafetensors,
  type ReadOptions,
  readSafetensors,
  type Safetensors,
  type SafetensorsHeader,
  type TensorEntry,
  writeSafetensors,
} from "./safetensors.js";
