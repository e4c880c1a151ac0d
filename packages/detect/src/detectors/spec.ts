import type { z } from "zod";
import type { DetectorNetwork } from "./detector.js";

/** All that the rest of the software knows of a detector. */
export interface DetectorSpec<Config extends { readonly detector: string }> {
  /** As in its configuration's `detector`. */
  readonly name: Config["detector"];
  readonly title: string;
  /** Checks a configuration and fills in defaults. */
  readonly schema: z.ZodType<Config>;
  /** Our name of one of the tensors of mmdetection 1.x's state dict; null when it has none. */
  readonly nameFromMmdetection?: ((name: string) => string | null) | undefined;
  build(config: Config, classes: number): DetectorNetwork;
}
