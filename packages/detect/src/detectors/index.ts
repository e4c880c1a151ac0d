import { EngineError } from "@sepc/engine";
import { z } from "zod";
import type { AtssConfig } from "./atss/config.js";
import { atss } from "./atss/index.js";
import type { DetectorNetwork } from "./detector.js";
import { faultsOf } from "./faults.js";
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
export { faultsOf } from "./faults.js";
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

const isDetectorName = (name: unknown): name is DetectorConfig["detector"] =>
  typeof name === "string" && Object.hasOwn(DETECTORS, name);

/** The entry whose functions take the configuration that names it. */
const specOf = (name: DetectorConfig["detector"]): DetectorSpec<DetectorConfig> =>
  DETECTORS[name] as unknown as DetectorSpec<DetectorConfig>;

/** Configurations of all detectors: as the one that `detector` names says, with defaults filled in. */
export const detectorSchema = z
  .custom<DetectorConfig>((value) => typeof value === "object" && value !== null, "expected an object")
  .transform((raw, context): DetectorConfig => {
    const { detector } = raw;
    if (!isDetectorName(detector)) {
      const message = `expected one of ${detectorNames.join(", ")}`;
      context.issues.push({ code: "custom", path: ["detector"], message, input: detector });
      return z.NEVER;
    }
    const parsed = specOf(detector).schema.safeParse(raw, { reportInput: true });
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) context.issues.push(issue as z.core.$ZodRawIssue);
    return z.NEVER;
  });

/**
 * Checks a detector's configuration and fills in defaults.
 * @throws EngineError BAD_ARGUMENT with the path to each value that is unknown or impossible.
 */
export function parseDetector(raw: unknown): DetectorConfig {
  const parsed = z.strictObject({ model: detectorSchema }).safeParse({ model: raw }, { reportInput: true });
  if (!parsed.success) throw new EngineError("BAD_ARGUMENT", faultsOf(parsed.error).join("\n"));
  return parsed.data.model;
}

/** What names a tensor of mmdetection 1.x's state dict of this detector; null where no such names are known. */
export const mmdetectionNames = ({ detector }: DetectorConfig): ((name: string) => string | null) | null =>
  specOf(detector).nameFromMmdetection ?? null;

/** @param classes how many there are, without background */
export function buildDetector(config: DetectorConfig, classes: number): DetectorNetwork {
  return specOf(config.detector).build(config, classes);
}
