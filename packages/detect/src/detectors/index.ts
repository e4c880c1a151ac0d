import { EngineError } from "@sepc/engine";
import { z } from "zod";
import type { AtssConfig } from "./atss/config.js";
import { atss } from "./atss/index.js";
import type { DetectorNetwork } from "./detector.js";
import type { FcosConfig } from "./fcos/config.js";
import { fcos } from "./fcos/index.js";
import type { FreeAnchorConfig } from "./freeanchor/config.js";
import { freeanchor } from "./freeanchor/index.js";
import type { FsafConfig } from "./fsaf/config.js";
import { fsaf } from "./fsaf/index.js";
import type { RepPointsConfig } from "./reppoints/config.js";
import { reppoints } from "./reppoints/index.js";
import type { RetinaNetConfig } from "./retinanet/config.js";
import { retinanet } from "./retinanet/index.js";
import type { DetectorSpec } from "./spec.js";

export { DetectorNetwork, type Losses, type Truth } from "./detector.js";
export type { DetectorSpec } from "./spec.js";

/** Configurations of all detectors, told apart by `detector`. */
export type DetectorConfig =
  | RetinaNetConfig
  | FreeAnchorConfig
  | FsafConfig
  | FcosConfig
  | AtssConfig
  | RepPointsConfig;

const DETECTORS: {
  readonly [K in DetectorConfig["detector"]]: DetectorSpec<Extract<DetectorConfig, { detector: K }>>;
} = {
  retinanet,
  freeanchor,
  fsaf,
  fcos,
  atss,
  reppoints,
};

export const detectorNames = Object.keys(DETECTORS) as DetectorConfig["detector"][];

/** The entry whose functions take the configuration that names it. */
function specOf(name: unknown): DetectorSpec<DetectorConfig> {
  if (typeof name === "string" && Object.hasOwn(DETECTORS, name))
    return DETECTORS[name as DetectorConfig["detector"]] as unknown as DetectorSpec<DetectorConfig>;
  throw new EngineError(
    "BAD_ARGUMENT",
    `model.detector: expected one of ${detectorNames.join(", ")}, got ${JSON.stringify(name)}`,
  );
}

/**
 * Checks a detector's configuration and fills in defaults.
 * @throws EngineError BAD_ARGUMENT with the path to each value that is unknown or impossible.
 */
export function parseDetector(raw: unknown): DetectorConfig {
  const { schema } = specOf((raw as { detector?: unknown } | null)?.detector);
  const parsed = schema.safeParse(raw);
  if (!parsed.success) throw new EngineError("BAD_ARGUMENT", `model: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** What names a tensor of mmdetection 1.x's state dict of this detector; null where no such names are known. */
export const mmdetectionNames = ({ detector }: DetectorConfig): ((name: string) => string | null) | null =>
  specOf(detector).nameFromMmdetection ?? null;

/** @param classes how many there are, without background */
export function buildDetector(config: DetectorConfig, classes: number): DetectorNetwork {
  return specOf(config.detector).build(config, classes);
}
