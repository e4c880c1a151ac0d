import type { DetectorSpec } from "../spec.js";
import { type AtssConfig, atssSchema } from "./config.js";
import { Atss } from "./network.js";
import { nameFromMmdetection } from "./weights.js";

export const atss: DetectorSpec<AtssConfig> = {
  name: "atss",
  title: "ATSS",
  schema: atssSchema,
  nameFromMmdetection,
  build: (config, classes) => new Atss(config, classes),
};
