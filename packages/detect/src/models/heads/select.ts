import type { LevelSize } from "@sepc/core";
import { ops, type Tensor } from "@sepc/engine";
import type { LevelOutput } from "./dense.js";

/** What is left of a batch's outputs for the making of boxes; K priors of each image. */
export interface CandidateTensors {
  /** [N, K, C], 0-1 */
  readonly scores: Tensor;
  /** [N, K, 4] for the coder */
  readonly boxes: Tensor;
  /** int64 [N, K]: places among the priors of all levels */
  readonly priors: Tensor;
  /** [N, K] what multiplies scores after the threshold */
  readonly factors: Tensor | null;
  /** Of the levels' maps, finest first. */
  readonly sizes: readonly LevelSize[];
}

/** [N, A·W, H, W'] -> [N, H·W'·A, W]: a row for each prior, cell by cell. */
export function byPrior(map: Tensor, anchors: number): Tensor {
  const [batch, channels, height, width] = map.shape as [number, number, number, number];
  return map
    .reshape([batch, anchors, channels / anchors, height, width])
    .permute([0, 3, 4, 1, 2])
    .reshape([batch, height * width * anchors, channels / anchors]);
}

/** Rows `[N, P, W]` at places `[N, K]` -> `[N, K, W]`. */
function rowsAt(rows: Tensor, places: Tensor): Tensor {
  const width = rows.shape[2] as number;
  return rows.gather(1, places.unsqueeze(2).expand([-1, -1, width]));
}

export interface SelectConfig {
  readonly anchorsPerCell: number;
  /** Priors kept of each level, those with the best class score. */
  readonly perLevel: number;
}

/** Keeps each level's most promising priors (section 5.1's protocol: 1000 a level). */
export function selectCandidates(
  levels: readonly (LevelOutput & { readonly centerness?: Tensor | undefined })[],
  config: SelectConfig,
): CandidateTensors {
  const { anchorsPerCell, perLevel } = config;
  let first = 0;
  const parts = levels.map(({ cls, box, centerness }) => {
    const rows = byPrior(cls, anchorsPerCell);
    const count = rows.shape[1] as number;
    const factors = centerness === undefined ? null : byPrior(centerness, anchorsPerCell).sigmoid();
    const best = factors === null ? rows.amax(2) : rows.amax(2).sigmoid().mul(factors.squeeze(2));
    const places = best.topk(Math.min(perLevel, count), { dim: 1 })[1];
    const part = {
      scores: rowsAt(rows, places).sigmoid(),
      boxes: rowsAt(byPrior(box, anchorsPerCell), places),
      priors: places.add(first),
      factors: factors === null ? null : rowsAt(factors, places).squeeze(2),
    };
    first += count;
    return part;
  });
  return {
    scores: ops.cat(
      parts.map(({ scores }) => scores),
      1,
    ),
    boxes: ops.cat(
      parts.map(({ boxes }) => boxes),
      1,
    ),
    priors: ops.cat(
      parts.map(({ priors }) => priors),
      1,
    ),
    factors: parts.every(({ factors }) => factors !== null)
      ? ops.cat(
          parts.map(({ factors }) => factors as Tensor),
          1,
        )
      : null,
    sizes: levels.map(({ cls }) => cls.shape.slice(2) as [number, number]),
  };
}
