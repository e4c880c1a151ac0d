import { type Counted, costOf, sum, targetLevel } from "./counting.js";
import type { LayerCost } from "./layerCosts.js";

/** The figures of the paper's Appendix 1, rounded as it rounds them. Levels run top down, coarsest first. */
export interface AppendixFigures {
  /** What a stacked convolution costs at each level, over RetinaNet's; 4 digits. Empty without stacked ones. */
  readonly costPerLevel: readonly number[];
  /** Cells of each level over those of all; 4 digits. */
  readonly areaShare: readonly number[];
  /** What the stacked convolutions cost, over as many of RetinaNet's; 4 digits. Null without stacked ones. */
  readonly stackRatio: number | null;
  /**
   * What all convolutions of the tower cost before any deforms, over RetinaNet's; 5 digits. From the rounded
   * `stackRatio`, as the appendix computes it: at 1280 × 1280 that makes 0.99925 where the layers give 0.99927.
   */
  readonly headRatio: number | null;
  /** What offsets and interpolation add to a convolution that deforms on all levels but the lowest; 3 digits. */
  readonly deformableOverhead: number;
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

const isOffset = ({ weight }: LayerCost): boolean => weight.includes(".conv_offset.");

/** What a layer would cost if no kernel deformed. */
const undeformed = (layer: LayerCost): number => (isOffset(layer) ? 0 : layer.multiplyAdds - layer.sampling);

const under = (counted: Counted, prefix: RegExp): LayerCost[] =>
  counted.layers.filter(({ weight }) => prefix.test(weight));

/** The stacked convolutions of the class branch, which the box branch shares or repeats. */
const stacked = /^tower\.(pconvs|cls\.convs)\./;
const extra = /^tower\.(clsConv|boxConv)\./;
/** One convolution that deforms by level alone: the extra one, or the first of RetinaNet's with deformable kernels. */
const single = /^tower\.(clsConv|cls\.convs\.0)\./;

function overhead(counted: Counted): number {
  const layers = under(counted, single);
  const plain = sum(layers.map(undeformed));
  return plain === 0 ? 0 : (costOf(layers) - plain) / plain;
}

/** @param plain the same network with RetinaNet's plain tower of as many convolutions */
export function appendixFigures(counted: Counted, plain: Counted, config: TowerShape): AppendixFigures {
  const cells = counted.sizes.map(([height, width]) => height * width);
  const mine = under(counted, stacked);
  const theirs = under(plain, stacked);
  const at = (from: Counted, layers: readonly LayerCost[], level: number): number =>
    sum(layers.filter((layer) => targetLevel(from, layer) === level).map(undeformed));
  const costPerLevel = cells.map((_, level) => at(counted, mine, level) / at(plain, theirs, level)).reverse();
  const areaShare = cells.map((count) => round(count / sum(cells), 4)).reverse();
  const deformableOverhead = round(overhead(counted), 3);
  if (theirs.length === 0)
    return { costPerLevel: [], areaShare, stackRatio: null, headRatio: null, deformableOverhead };
  const stackRatio = round(sum(mine.map(undeformed)) / sum(theirs.map(undeformed)), 4);
  const extras = new Set(under(counted, extra).map(({ weight }) => weight.split(".")[1])).size;
  const stacks = config.separate ? 2 : 1;
  return {
    costPerLevel: costPerLevel.map((cost) => round(cost, 4)),
    areaShare,
    stackRatio,
    headRatio: round((stacks * config.depth * stackRatio + extras) / (2 * config.depth), 5),
    deformableOverhead,
  };
}

export interface TowerShape {
  /** Stacked convolutions of a branch. */
  readonly depth: number;
  /** Whether each branch has its own. */
  readonly separate: boolean;
}
