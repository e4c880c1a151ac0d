import type { Normalisation } from "@sepc/core";
import { EngineError } from "../errors.js";

/** What happens to a picture on its way into the network. Plain data: it goes to worker threads. */
export interface TransformConfig extends Normalisation {
  /** Longer and shorter side in pixels; one pair, or several to draw from. */
  readonly scales: readonly (readonly [number, number])[];
  /** Of several pairs: one of them, or anything between the first two. */
  readonly draw: "value" | "range";
  /** Whether pictures keep the ratio of their sides (the default), or are stretched to the pair. */
  readonly keepRatio?: boolean | undefined;
  /** Probabilities, 0-1. */
  readonly flip: number;
  readonly crop: number;
  readonly photometric: number;
  /**
   * Which boxes a cropped picture keeps: those whose centre is inside (the default), or those whose part inside has at
   * least this overlap (IoU, 0-1) with the whole.
   */
  readonly cropKeep?: "centre" | number | undefined;
  /**
   * Lets the JPEG decoder halve pictures (2, 4, 8 times) that are shown at half their size or less: faster, and smoother
   * than resizing alone, so that pixels differ. Off unless told.
   */
  readonly shrinkOnLoad?: boolean | undefined;
}

/** @throws EngineError BAD_ARGUMENT naming the first setting that is impossible */
export function checkTransforms(config: TransformConfig): void {
  const fail = (name: string, expected: string, got: unknown): never => {
    throw new EngineError(
      "BAD_ARGUMENT",
      `transforms: ${name}: expected ${expected}, got ${JSON.stringify(got)}`,
    );
  };
  const { scales, draw, sizeDivisor, cropKeep = "centre" } = config;
  const isSide = (side: unknown): boolean => Number.isInteger(side) && (side as number) > 0;
  if (scales.length === 0 || !scales.every((pair) => pair.length === 2 && pair.every(isSide)))
    fail("scales", "pairs of positive whole numbers", scales);
  if (draw !== "value" && draw !== "range") fail("draw", '"value" or "range"', draw);
  if (draw === "range" && scales.length > 2) fail("scales", 'two pairs for draw "range"', scales);
  for (const name of ["flip", "crop", "photometric"] as const)
    if (!(config[name] >= 0 && config[name] <= 1)) fail(name, "a probability from 0 to 1", config[name]);
  if (cropKeep !== "centre" && !(cropKeep >= 0 && cropKeep <= 1))
    fail("cropKeep", '"centre" or an overlap from 0 to 1', cropKeep);
  if (!isSide(sizeDivisor)) fail("sizeDivisor", "a positive whole number", sizeDivisor);
  if (!config.mean.every(Number.isFinite)) fail("mean", "three numbers", config.mean);
  if (!config.std.every((value) => value > 0)) fail("std", "three positive numbers", config.std);
}
