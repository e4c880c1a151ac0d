import type { LevelSize, PointPriors } from "@sepc/core";
import { type Device, noGrad, ops, scope, type Tensor } from "@sepc/engine";
import { byPrior } from "../../models/heads/select.js";
import { paddingPriors, pointTensor } from "../../ops/priors.js";
import { assignByMaxIou, type MaxIouConfig } from "../../training/assigners/maxIou.js";
import { assignNearestPoints } from "../../training/assigners/nearestPoint.js";
import { levelOfPriors } from "../../training/levels.js";
import type { Truth } from "../detector.js";
import type { RepPointsOutput } from "./head.js";

export interface RepPointsTargetConfig {
  readonly priors: PointPriors;
  /** Side of a level's typical box, in strides. */
  readonly baseScale: number;
  /** Points that a box takes in the first stage. */
  readonly pointsPerBox: number;
  /** Of the second stage. */
  readonly assigner: MaxIouConfig;
  readonly legacyBoxes?: boolean | undefined;
}

/** Points [N, 2·P, ...] -> boxes [N, 4, ...], both in cells from the cell's own point. */
export type PointsToBoxes = (points: Tensor) => Tensor;

/** What the cells of a batch should say in one stage, and the M of them that answer for an object. */
export interface Stage {
  /** int64 [N, P]: class, -1 background, -2 counts neither way */
  readonly labels: Tensor;
  /** int64 [M]: their places among all N·P rows, and their levels */
  readonly rows: Tensor;
  readonly levels: Tensor;
  /** [M, 2] in pixels */
  readonly points: Tensor;
  /** [M, 4] in pixels: their objects' boxes */
  readonly boxes: Tensor;
  /** How many there are, at least 1 of each picture. */
  readonly positives: number;
}

export interface RepPointsTargets {
  readonly sizes: readonly LevelSize[];
  readonly init: Stage;
  readonly refine: Stage;
}

export const sizesOf = (maps: readonly RepPointsOutput[]): LevelSize[] =>
  maps.map(({ cls }) => cls.shape.slice(2) as [number, number]);

/** Boxes of the first points in pixels, [N, P, 4]. */
function initBoxes(
  { priors }: RepPointsTargetConfig,
  maps: readonly RepPointsOutput[],
  toBoxes: PointsToBoxes,
  points: Tensor,
): Tensor {
  return noGrad(() =>
    scope(() => {
      const shifts = maps.map(({ init }, level) =>
        byPrior(toBoxes(init), 1).mul(priors.strides[level] as number),
      );
      return ops.cat(shifts, 1).add(points.repeat([1, 2]));
    }),
  );
}

/** int64 `[P]`: class of each cell's object, -1 background, -2 neither. */
function labelsOf(assigned: Tensor, { labels }: Truth): Tensor {
  if (labels.numel === 0) return assigned.sub(1);
  const own = labels.indexSelect(0, assigned.sub(1).clamp({ min: 0 }));
  return ops.where(assigned.gt(0), own, assigned.sub(1));
}

/** What each picture's assignment, int64 `[P]`, says of the batch. */
function stageOf(
  assigned: readonly Tensor[],
  points: Tensor,
  sizes: readonly LevelSize[],
  truths: readonly Truth[],
): Stage {
  const count = points.shape[0] as number;
  const places = assigned.map((own) => own.gt(0).nonzero().squeeze(1));
  const all = ops.cat(places);
  const boxes = truths.map((truth, n) => {
    const objects = (assigned[n] as Tensor).indexSelect(0, places[n] as Tensor).sub(1);
    return truth.boxes.indexSelect(0, objects);
  });
  return {
    labels: ops.stack(assigned.map((own, n) => labelsOf(own, truths[n] as Truth))),
    rows: ops.cat(places.map((own, n) => own.add(n * count))),
    levels: levelOfPriors(sizes, points.device).indexSelect(0, all),
    points: points.indexSelect(0, all),
    boxes: ops.cat(boxes),
    positives: places.reduce((sum, own) => sum + Math.max(own.numel, 1), 0),
  };
}

/** Targets of both stages (section 3.3): the second's depend on what the first points say. */
export function repPointsTargets(
  config: RepPointsTargetConfig,
  maps: readonly RepPointsOutput[],
  toBoxes: PointsToBoxes,
  truths: readonly Truth[],
): RepPointsTargets {
  return scope(() => {
    const sizes = sizesOf(maps);
    const counts = sizes.map(([height, width]) => height * width);
    const device: Device = (truths[0] as Truth).boxes.device;
    const points = pointTensor(config.priors, sizes, device);
    const excluded = truths.map(({ padded }) => paddingPriors(config.priors, sizes, padded, device));
    const { pointsPerBox, baseScale, legacyBoxes } = config;
    const nearest = { strides: config.priors.strides, scale: baseScale, pointsPerBox };
    const init = truths.map(({ boxes }, n) =>
      assignNearestPoints(points, counts, boxes, nearest, { excluded: excluded[n] }),
    );
    const predicted = initBoxes(config, maps, toBoxes, points);
    const refine = truths.map(({ boxes, ignored }, n) => {
      const options = { ignored, excluded: excluded[n], legacyBoxes };
      return assignByMaxIou(predicted.select(0, n), boxes, config.assigner, options).assigned;
    });
    return {
      sizes,
      init: stageOf(init, points, sizes, truths),
      refine: stageOf(refine, points, sizes, truths),
    };
  });
}
