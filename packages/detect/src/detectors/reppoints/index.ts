import type { DetectorSpec } from "../spec.js";
import { type RepPointsConfig, repPointsSchema } from "./config.js";
import { RepPoints } from "./network.js";
import { nameFromMmdetection } from "./weights.js";

export const reppoints: DetectorSpec<RepPointsConfig> = {
  name: "reppoints",
  title: "RepPoints",
  schema: repPointsSchema,
  nameFromMmdetection,
  build: (config, classes) => new RepPoints(config, classes),
};
