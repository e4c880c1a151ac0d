import { fromTypedArray, ops, scope, type Tensor } from "@sepc/engine";
import { byPrior } from "../../models/heads/select.js";
import { namedByLevel, sumByLevel } from "../../training/levels.js";
import type { FocalConfig } from "../../training/losses/focal.js";
import { focalOfMap } from "../../training/losses/focalMap.js";
import { smoothL1 } from "../../training/losses/smoothL1.js";
import type { Losses } from "../detector.js";
import type { RepPointsOutput } from "./head.js";
import type { PointsToBoxes, RepPointsTargetConfig, RepPointsTargets, Stage } from "./targets.js";

export interface RepPointsTraining extends RepPointsTargetConfig {
  readonly focal: FocalConfig;
  /** Where smooth L1 becomes straight, in sides of a level's typical box. */
  readonly beta: number;
  /** Weights of the point losses of the stages. */
  readonly initWeight: number;
  readonly refineWeight: number;
}

/**
 * Smooth L1 of the boxes of one stage's points, by level `[L]`, in sides of a level's typical box and over the number
 * of positives.
 */
function pointLosses(
  config: RepPointsTraining,
  maps: readonly Tensor[],
  toBoxes: PointsToBoxes,
  stage: Stage,
): Tensor {
  const { priors, baseScale, beta } = config;
  const all = ops.cat(
    maps.map((map) => byPrior(map, 1)),
    1,
  );
  const coordinates = all.shape[2] as number;
  const rows = all.reshape([-1, coordinates]).indexSelect(0, stage.rows);
  const strides = fromTypedArray(Float32Array.from(priors.strides), [priors.strides.length]).to({
    device: rows.device,
  });
  const unit = strides.indexSelect(0, stage.levels).mul(baseScale).unsqueeze(1);
  const wanted = stage.boxes.sub(stage.points.repeat([1, 2])).div(unit);
  const losses = smoothL1(toBoxes(rows).div(baseScale), wanted, beta).sum(1);
  return sumByLevel(losses, stage.levels, maps.length).div(stage.positives);
}

/** Per level the focal loss of classes and the point losses of both stages (section 3.3). */
export function repPointsLosses(
  config: RepPointsTraining,
  maps: readonly RepPointsOutput[],
  toBoxes: PointsToBoxes,
  targets: RepPointsTargets,
): Losses {
  return scope(() => {
    const { positives, labels: all } = targets.refine;
    const counts = targets.sizes.map(([height, width]) => height * width);
    const labels = all.split(counts, 1);
    const classes = maps.map(({ cls }, level) => focalOfMap(cls, labels[level] as Tensor, config.focal));
    const points = (stage: "init" | "refine"): Tensor =>
      pointLosses(
        config,
        maps.map((map) => map[stage]),
        toBoxes,
        targets[stage],
      );
    return {
      ...namedByLevel("loss_cls", ops.stack(classes).div(positives)),
      ...namedByLevel("loss_pts_init", points("init").mul(config.initWeight)),
      ...namedByLevel("loss_pts_refine", points("refine").mul(config.refineWeight)),
    };
  });
}
