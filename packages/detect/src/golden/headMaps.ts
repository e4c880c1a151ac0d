import type { LevelOutput } from "../models/heads/dense.js";
import { backwardThrough } from "./backward.js";
import type { Case } from "./case.js";

/** Compares the maps of a dense head, level by level, and runs backward from the case's cotangents. */
export function expectHeadMaps(golden: Case, outputs: readonly LevelOutput[]): void {
  for (const [i, { cls, box }] of outputs.entries()) {
    golden.expect(`out/cls_score${i}`, cls);
    golden.expect(`out/bbox_pred${i}`, box);
  }
  backwardThrough(
    outputs.flatMap(({ cls, box }, i) => [
      [cls, golden.tensor(`in/cot_cls${i}`)] as const,
      [box, golden.tensor(`in/cot_reg${i}`)] as const,
    ]),
  );
}
