import type { DetectorSpec } from "../spec.js";
import { type FcosConfig, fcosSchema } from "./config.js";
import { Fcos } from "./network.js";
import { nameFromMmdetection } from "./weights.js";

export const fcos: DetectorSpec<FcosConfig> = {
  name: "fcos",
  title: "FCOS",
  schema: fcosSchema,
  nameFromMmdetection,
  build: (config, classes) => new Fcos(config, classes),
};
