import { EngineError } from "@sepc/engine";
import type { DetectorConfig } from "../detectors/index.js";
import { type AppendixFigures, appendixFigures } from "./appendix.js";
import { type Counted, costOf, countNetwork, partOf, type Size, sum, targetLevel } from "./counting.js";

export interface FlopOptions {
  /** Pixels of the network's input; 1280 × 1280, as in the paper's Appendix 1, unless told. */
  readonly size?: Size | undefined;
  /** 80, as in COCO, unless told. */
  readonly classes?: number | undefined;
}

export interface PartCost {
  /** "backbone.stem", "backbone.layer1" ..., "neck", "tower", "predictions" */
  readonly name: string;
  readonly parameters: number;
  readonly multiplyAdds: number;
}

export interface LevelCost {
  /** "p3": stride 8, and so on */
  readonly name: string;
  readonly size: Size;
  readonly neck: number;
  readonly tower: number;
  readonly predictions: number;
}

/** Parameters, and multiply-adds of one image. Levels run top down, coarsest first. */
export interface FlopReport extends AppendixFigures {
  readonly detector: string;
  readonly tower: string;
  readonly size: Size;
  readonly classes: number;
  readonly parameters: number;
  readonly multiplyAdds: number;
  readonly parts: readonly PartCost[];
  readonly levels: readonly LevelCost[];
  /** What the whole tower costs, deformation included, over RetinaNet's plain one; null without convolutions. */
  readonly towerRatio: number | null;
  /** The same of the whole network. */
  readonly totalRatio: number;
}

function partCosts({ layers, parameters }: Counted): PartCost[] {
  const names = [...new Set([...parameters.keys()].map(partOf))];
  return names.map((name) => ({
    name,
    parameters: sum([...parameters].filter(([weight]) => partOf(weight) === name).map(([, size]) => size)),
    multiplyAdds: costOf(layers.filter(({ weight }) => partOf(weight) === name)),
  }));
}

function levelCosts(counted: Counted): LevelCost[] {
  const cost = (level: number, part: string): number =>
    costOf(
      counted.layers.filter(
        (layer) => partOf(layer.weight) === part && targetLevel(counted, layer) === level,
      ),
    );
  return counted.sizes
    .map((size, level) => ({
      name: `p${Math.log2(counted.strides[level] as number)}`,
      size,
      neck: cost(level, "neck"),
      tower: cost(level, "tower"),
      predictions: cost(level, "predictions"),
    }))
    .reverse();
}

const towerCost = ({ layers }: Counted): number =>
  costOf(layers.filter(({ weight }) => partOf(weight) === "tower"));

/**
 * Counts a detector's parameters and multiply-adds, and compares its tower with RetinaNet's plain one of the same
 * depth. Counted are convolutions, a multiplication with its addition once, biases not at all, and 8 for each sample
 * that a deformable kernel interpolates (Appendix 1); normalisation, sums and upsampling are not.
 * @throws EngineError BAD_ARGUMENT for a size that is none, or too small to tell the levels apart.
 */
export function countFlops(config: DetectorConfig, options: FlopOptions = {}): FlopReport {
  const { size = [1280, 1280], classes = 80 } = options;
  if (!size.every((side) => Number.isSafeInteger(side) && side > 0))
    throw new EngineError("BAD_ARGUMENT", `flops: expected a size in whole pixels, got ${size.join("x")}`);
  const { tower } = config;
  const counted = countNetwork(config, classes, size);
  const plain = countNetwork({ ...config, tower: { ...tower, kind: "plain" } }, classes, size);
  const separate = tower.branches === "separate" || tower.kind === "plain" || tower.kind === "deformable";
  return {
    detector: config.detector,
    tower: tower.kind,
    size,
    classes,
    parameters: sum(counted.parameters.values()),
    multiplyAdds: costOf(counted.layers),
    parts: partCosts(counted),
    levels: levelCosts(counted),
    ...appendixFigures(counted, plain, { depth: tower.depth, separate }),
    towerRatio: tower.depth === 0 ? null : towerCost(counted) / towerCost(plain),
    totalRatio: costOf(counted.layers) / costOf(plain.layers),
  };
}
