import type { DetectorSpec } from "../spec.js";
import { type FsafConfig, fsafSchema } from "./config.js";
import { Fsaf } from "./network.js";
import { nameFromMmdetection } from "./weights.js";

export const fsaf: DetectorSpec<FsafConfig> = {
  name: "fsaf",
  title: "FSAF",
  schema: fsafSchema,
  nameFromMmdetection,
  build: (config, classes) => new Fsaf(config, classes),
};
