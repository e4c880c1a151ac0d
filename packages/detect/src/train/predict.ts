import { type Candidates, type Detection, decode, type Frame, type Postprocess } from "@sepc/core";
import { type Device, fromTypedArray, inferenceMode, scope, type Tensor } from "@sepc/engine";
import type { DetectorNetwork } from "../detectors/index.js";
import { forwardIn, type Precision } from "./forward.js";

export interface PredictOptions {
  readonly device?: Device | undefined;
  readonly precision?: Precision | undefined;
  readonly postprocess?: Partial<Postprocess> | undefined;
}

function rows(x: Tensor, n: number): Float32Array {
  return x.select(0, n).float().cpu().contiguous().toTypedArray() as Float32Array;
}

/**
 * Finds objects in a batch of normalised pictures.
 * @param pixels [N, 3, H, W]
 * @param frames how each picture lies in it
 * @returns the objects of each picture, best first, in pixels of the original
 */
export function predict(
  detector: DetectorNetwork,
  pixels: Float32Array,
  shape: readonly [number, number, number, number],
  frames: readonly Frame[],
  options: PredictOptions = {},
): Detection[][] {
  const { device = "cpu", precision = "float32", postprocess } = options;
  return scope(() => {
    const found = inferenceMode(() => {
      const images = fromTypedArray(pixels, [...shape]).to({ device });
      return detector.candidates(forwardIn(detector, images, device, precision));
    });
    return frames.map((frame, n) => {
      const places = found.priors.select(0, n).cpu().contiguous().toTypedArray() as BigInt64Array;
      const candidates: Candidates = {
        scores: rows(found.scores, n),
        boxes: rows(found.boxes, n),
        priors: Int32Array.from(places, Number),
        factors: found.factors === null ? undefined : rows(found.factors, n),
        classes: found.scores.shape[2] as number,
      };
      return decode(detector.decodeSpec, found.sizes, candidates, frame, postprocess);
    });
  });
}
