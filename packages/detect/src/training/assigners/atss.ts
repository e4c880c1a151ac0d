import { full, ops, scope, type Tensor, zeros } from "@sepc/engine";
import { pairwiseOverlaps } from "../../ops/overlaps.js";
import type { AssignOptions } from "./maxIou.js";

/** Which priors answer for which box, by a threshold that each box's own candidates set (ATSS, Zhang et al. 2020). */
export interface AtssConfig {
  /** Candidates that a box takes from each level, those nearest to its centre; 9 in the paper. */
  readonly candidates: number;
}

/** A candidate's centre lies this far inside its box, in pixels. */
const leastInside = 0.01;

/** x and y of centres, each `[N]`. */
function centres(boxes: Tensor): [x: Tensor, y: Tensor] {
  const [x1, y1, x2, y2] = boxes.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
  return [x1.add(x2).div(2), y1.add(y2).div(2)];
}

/** `[P, G]` in pixels, infinite where a prior takes no part. */
function centreDistances(priors: Tensor, boxes: Tensor, excluded: Tensor | null | undefined): Tensor {
  const [px, py] = centres(priors);
  const [bx, by] = centres(boxes);
  const distances = px.unsqueeze(1).sub(bx).square().add(py.unsqueeze(1).sub(by).square()).sqrt();
  return excluded ? distances.maskedFill(excluded.unsqueeze(1), Number.POSITIVE_INFINITY) : distances;
}

/** int64 `[K, G]`: of each level the priors nearest to each box, all of a level that has too few. */
function nearestOfLevels(distances: Tensor, counts: readonly number[], candidates: number): Tensor {
  let first = 0;
  const parts = counts.map((count) => {
    const level = distances.narrow(0, first, count);
    const places = level.topk(Math.min(candidates, count), { dim: 0, largest: false })[1].add(first);
    first += count;
    return places;
  });
  return ops.cat(parts);
}

/** Mean and deviation `[1, G]` of those `[K, G]` that are real (0 or 1). */
function meanAndDeviation(values: Tensor, real: Tensor): [mean: Tensor, deviation: Tensor] {
  const count = real.sum(0, { keepdim: true });
  const mean = values
    .mul(real)
    .sum(0, { keepdim: true })
    .div(count.clamp({ min: 1 }));
  const squares = values.sub(mean).square().mul(real).sum(0, { keepdim: true });
  return [mean, squares.div(count.sub(1).clamp({ min: 1 })).sqrt()];
}

/** bool `[K, G]`: candidates whose centre lies in the box. */
function inside(priors: Tensor, boxes: Tensor, candidates: Tensor): Tensor {
  const [x, y] = centres(priors.indexSelect(0, candidates.reshape([-1]))).map((c) =>
    c.reshape(candidates.shape),
  ) as [Tensor, Tensor];
  const [x1, y1, x2, y2] = boxes.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
  const nearest = ops.minimum(ops.minimum(x.sub(x1), x2.sub(x)), ops.minimum(y.sub(y1), y2.sub(y)));
  return nearest.gt(leastInside);
}

/**
 * Priors `[P, 4]` of all levels and boxes `[G, 4]`, both in pixels -> int64 `[P]`: -1 takes no part, 0 background,
 * g + 1 box g. Of a box's candidates those count whose overlap reaches mean + deviation of all of them; a prior that
 * counts for several boxes answers for the one that it overlaps most.
 * @param counts priors of each level
 */
export function assignByAtss(
  priors: Tensor,
  counts: readonly number[],
  boxes: Tensor,
  config: AtssConfig,
  { excluded, legacyBoxes }: Pick<AssignOptions, "excluded" | "legacyBoxes"> = {},
): Tensor {
  return scope(() => {
    const count = priors.shape[0] as number;
    const { device } = priors;
    const finish = (assigned: Tensor): Tensor => (excluded ? assigned.maskedFill(excluded, -1) : assigned);
    const objects = boxes.shape[0] as number;
    if (objects === 0) return finish(zeros([count], { dtype: "int64", device }));
    const distances = centreDistances(priors, boxes, excluded);
    const candidates = nearestOfLevels(distances, counts, config.candidates);
    const real = ops.isfinite(distances.gather(0, candidates));
    const overlaps = pairwiseOverlaps(priors, boxes, { legacyBoxes }).gather(0, candidates);
    const [mean, deviation] = meanAndDeviation(overlaps, real.to({ dtype: overlaps.dtype }));
    const good = overlaps.ge(mean.add(deviation)).logicalAnd(inside(priors, boxes, candidates));
    const claims = ops.where(good.logicalAnd(real), overlaps, -1);
    const [best, which] = full([count, objects], -1, { dtype: claims.dtype, device })
      .scatter(0, candidates, claims)
      .max(1);
    return finish(ops.where(best.ge(0), which.add(1), 0));
  });
}
