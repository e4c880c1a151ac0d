import type { AnchorPriors, DeltaCoder } from "@sepc/core";
import { noGrad, ops, scope, type Tensor, tensorOp } from "@sepc/engine";
import type { LevelOutput } from "../../models/heads/dense.js";
import { byPrior } from "../../models/heads/select.js";
import { pairwiseOverlaps } from "../../ops/overlaps.js";
import { anchorTensor } from "../../ops/priors.js";
import { decodeDeltas, encodeDeltas } from "../../training/coders/delta.js";
import { smoothL1 } from "../../training/losses/smoothL1.js";
import type { Losses, Truth } from "../detector.js";
import type { FreeAnchorConfig } from "./config.js";

export interface FreeAnchorTraining
  extends Pick<FreeAnchorConfig, "bagSize" | "boxThreshold" | "gamma" | "alpha" | "beta" | "boxWeight"> {
  readonly anchors: AnchorPriors;
  readonly coder: DeltaCoder;
}

const binaryCrossEntropy = tensorOp("aten::binary_cross_entropy");
const none = 0;

/** -log p, at most 100, by binary cross entropy: its gradient is finite at p = 0, where that of a logarithm is not. */
const surprise = (p: Tensor): Tensor => binaryCrossEntropy(p, ops.onesLike(p), null, none);

/** Each object's bag of anchors must hold one that both names and covers it (equation 5): `[G]`. */
function positiveBags(
  logits: Tensor,
  deltas: Tensor,
  anchors: Tensor,
  truth: Truth,
  c: FreeAnchorTraining,
): Tensor {
  const { boxes, labels } = truth;
  const objects = labels.numel;
  const overlaps = pairwiseOverlaps(boxes, anchors, { legacyBoxes: c.anchors.legacyBoxes });
  const bags = overlaps.topk(Math.min(c.bagSize, anchors.shape[0] as number), { dim: 1, sorted: false })[1];
  const size = bags.shape[1] as number;
  const places = bags.reshape([-1]);
  const own = labels.unsqueeze(1).expand([objects, size]).reshape([-1]);
  const named = logits.index([places, own]).sigmoid().reshape([objects, size]);
  const wanted = encodeDeltas(
    c.coder,
    anchors.indexSelect(0, places),
    boxes.unsqueeze(1).expand([objects, size, 4]).reshape([-1, 4]),
  );
  const misfit = smoothL1(deltas.indexSelect(0, places), wanted, c.beta).sum(-1).mul(c.boxWeight);
  const both = named.mul(misfit.neg().exp().reshape([objects, size]));
  const weights = both.neg().add(1).clamp({ min: 1e-12 }).reciprocal();
  const bag = weights.mul(both).sum(1).div(weights.sum(1));
  return surprise(bag).mul(c.alpha);
}

/** How surely an anchor's predicted box is one of each class's objects: pairs of anchor and class where above 0. */
function boxProbabilities(deltas: Tensor, anchors: Tensor, truth: Truth, c: FreeAnchorTraining): Tensor[] {
  const predicted = decodeDeltas(c.coder, anchors, deltas);
  const overlaps = pairwiseOverlaps(truth.boxes, predicted, { legacyBoxes: c.anchors.legacyBoxes });
  const best = overlaps.amax(1, { keepdim: true }).clamp({ min: c.boxThreshold + 1e-12 });
  const share = overlaps.sub(c.boxThreshold).div(best.sub(c.boxThreshold)).clamp({ min: 0, max: 1 });
  const [object, place] = share.nonzero().unbind(1) as [Tensor, Tensor];
  return [place, truth.labels.indexSelect(0, object), share.index([object, place])];
}

/** q^γ · -log(1 - q), of anchors that are no object's (equation 6). */
const blame = (q: Tensor, gamma: number): Tensor => q.pow(gamma).mul(surprise(q.neg().add(1)));

/** What the box probabilities take off the sum over all anchors and classes. */
function excused(logits: Tensor, pairs: readonly Tensor[], c: FreeAnchorTraining): Tensor {
  const [place, label, share] = pairs as [Tensor, Tensor, Tensor];
  const classes = logits.shape[1] as number;
  // Of a class's objects the surest counts.
  const [unique, which] = ops.unique(place.mul(classes).add(label));
  const surest = share.newZeros([unique.numel]).scatterReduce(0, which, share, "amax");
  const p = logits.reshape([-1]).indexSelect(0, unique).sigmoid();
  return blame(p, c.gamma)
    .sub(blame(p.mul(surest.neg().add(1)), c.gamma))
    .sum();
}

/** Losses of positive and negative bags (Zhang et al. 2019, section 3.4). */
export function freeAnchorLosses(
  config: FreeAnchorTraining,
  levels: readonly LevelOutput[],
  truths: readonly Truth[],
): Losses {
  return scope(() => {
    const perCell = config.anchors.ratios.length * config.anchors.scales.length;
    const sizes = levels.map(({ cls }) => cls.shape.slice(2) as [number, number]);
    const { device } = (levels[0] as LevelOutput).cls;
    const anchors = anchorTensor(config.anchors, sizes, device);
    const rows = (map: "cls" | "box"): Tensor =>
      ops.cat(
        levels.map((level) => byPrior(level[map], perCell)),
        1,
      );
    const [logits, deltas] = [rows("cls"), rows("box")];
    const objects = truths.reduce((sum, { labels }) => sum + labels.numel, 0);
    let negative = blame(logits.sigmoid(), config.gamma).sum();
    let positive = logits.sum().mul(0);
    for (const [n, truth] of truths.entries()) {
      if (truth.labels.numel === 0) continue;
      const [ownLogits, ownDeltas] = [logits.select(0, n), deltas.select(0, n)];
      positive = positive.add(positiveBags(ownLogits, ownDeltas, anchors, truth, config).sum());
      const pairs = noGrad(() => boxProbabilities(ownDeltas, anchors, truth, config));
      if ((pairs[0] as Tensor).numel > 0) negative = negative.sub(excused(ownLogits, pairs, config));
    }
    return {
      loss_positive_bag: positive.div(Math.max(1, objects)),
      loss_negative_bag: negative.mul(1 - config.alpha).div(Math.max(1, objects * config.bagSize)),
    };
  });
}
