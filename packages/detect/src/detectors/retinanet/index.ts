import type { DetectorSpec } from "../spec.js";
import { type RetinaNetConfig, retinaNetSchema } from "./config.js";
import { RetinaNet } from "./network.js";
import { nameFromMmdetection } from "./weights.js";

export const retinanet: DetectorSpec<RetinaNetConfig> = {
  name: "retinanet",
  title: "RetinaNet",
  schema: retinaNetSchema,
  nameFromMmdetection,
  build: (config, classes) => new RetinaNet(config, classes),
};
