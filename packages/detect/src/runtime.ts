/** Exported models in any page or program: imports neither Node's modules nor native code. */
export {
  type Box,
  type Detection,
  fromRgba,
  ModelError,
  type ModelSpec,
  type Postprocess,
  type RgbImage,
} from "@sepc/core";
export { drawObjects } from "@sepc/core/draw";
export * from "@sepc/core/runtime";
