import { full, ops, scope, type Tensor, zeros } from "@sepc/engine";
import { pairwiseOverlaps } from "../../ops/overlaps.js";

/** Which priors answer for which box, by overlap (Faster R-CNN, RetinaNet; mmdetection's MaxIoUAssigner). */
export interface MaxIouConfig {
  /** A prior with at least this overlap is positive. */
  readonly positiveIou: number;
  /** One with less than this is negative; with a pair, one from the first up to the second. */
  readonly negativeIou: number | readonly [number, number];
  /** A box takes its best priors, however bad, if they overlap it by at least this. */
  readonly minPositiveIou: number;
  /** Of several priors tied for best a box takes all, or the first; all unless told. */
  readonly takeAllTies?: boolean | undefined;
  /** Priors whose area lies in an ignored box by more than this share count neither way; -1, never, unless told. */
  readonly ignoreIof?: number | undefined;
  /** That share is of the prior's area, or of the ignored box's; of the prior's unless told. */
  readonly ignoreOfPriors?: boolean | undefined;
}

export interface AssignOptions {
  /** Boxes to ignore, `[I, 4]`. */
  readonly ignored?: Tensor | null | undefined;
  /** Priors that take no part, bool `[P]`. */
  readonly excluded?: Tensor | null | undefined;
  readonly legacyBoxes?: boolean | undefined;
}

export interface Assignment {
  /** int64 `[P]`: -1 counts neither way, 0 background, g + 1 box g. */
  readonly assigned: Tensor;
  /** `[P]` overlap with the best box; -1 where the prior takes no part. */
  readonly overlaps: Tensor;
}

/** bool `[P]`: priors inside an ignored box. */
function insideIgnored(priors: Tensor, config: MaxIouConfig, options: AssignOptions): Tensor | null {
  const { ignoreIof = -1, ignoreOfPriors = true } = config;
  const { ignored, legacyBoxes } = options;
  if (!ignored || ignored.numel === 0 || ignoreIof <= 0) return null;
  const share = ignoreOfPriors
    ? pairwiseOverlaps(priors, ignored, { mode: "iof", legacyBoxes }).amax(1)
    : pairwiseOverlaps(ignored, priors, { mode: "iof", legacyBoxes }).amax(0);
  return share.gt(ignoreIof);
}

function pairs(priors: Tensor, boxes: Tensor, config: MaxIouConfig, options: AssignOptions): Tensor {
  let overlaps = pairwiseOverlaps(boxes, priors, options);
  for (const mask of [insideIgnored(priors, config, options), options.excluded]) {
    if (mask) overlaps = overlaps.maskedFill(mask.unsqueeze(0), -1);
  }
  return overlaps;
}

/** 1-based box of each prior that is (tied for) the best of a box, 0 elsewhere; int64 `[P]`. Of several, the last. */
function bestOfBoxes(overlaps: Tensor, config: MaxIouConfig): Tensor {
  const [best, where] = overlaps.max(1, { keepdim: true });
  const takes = best.ge(config.minPositiveIou);
  const ties =
    config.takeAllTies === false
      ? ops.zerosLike(overlaps, { dtype: "bool" }).scatter(1, where, 1)
      : overlaps.eq(best);
  const numbers = best.squeeze(1).onesLike({ dtype: "int64" }).cumsum(0).unsqueeze(1);
  return ties.logicalAnd(takes).mul(numbers).amax(0);
}

/** Priors `[P, 4]` and boxes `[G, 4]`, both in pixels -> which prior answers for which box. */
export function assignByMaxIou(
  priors: Tensor,
  boxes: Tensor,
  config: MaxIouConfig,
  options: AssignOptions = {},
): Assignment {
  return scope(() => {
    const count = priors.shape[0] as number;
    const { device } = priors;
    if (boxes.shape[0] === 0) {
      const assigned = zeros([count], { dtype: "int64", device });
      const { excluded } = options;
      return {
        assigned: excluded ? assigned.maskedFill(excluded, -1) : assigned,
        overlaps: zeros([count], { device }),
      };
    }
    const matrix = pairs(priors, boxes, config, options);
    const [overlaps, which] = matrix.max(0);
    const [low, high] = typeof config.negativeIou === "number" ? [0, config.negativeIou] : config.negativeIou;
    let assigned = full([count], -1, { dtype: "int64", device });
    assigned = assigned.maskedFill(overlaps.ge(low).logicalAnd(overlaps.lt(high)), 0);
    assigned = ops.where(overlaps.ge(config.positiveIou), which.add(1), assigned);
    const best = bestOfBoxes(matrix, config);
    return { assigned: ops.where(best.gt(0), best, assigned), overlaps };
  });
}
