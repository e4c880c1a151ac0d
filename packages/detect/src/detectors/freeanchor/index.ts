import type { DetectorSpec } from "../spec.js";
import { type FreeAnchorConfig, freeAnchorSchema } from "./config.js";
import { FreeAnchor } from "./network.js";
import { nameFromMmdetection } from "./weights.js";

export const freeanchor: DetectorSpec<FreeAnchorConfig> = {
  name: "freeanchor",
  title: "FreeAnchor",
  schema: freeAnchorSchema,
  nameFromMmdetection,
  build: (config, classes) => new FreeAnchor(config, classes),
};
