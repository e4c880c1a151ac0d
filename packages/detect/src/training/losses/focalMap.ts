import { scope, type Tensor } from "@sepc/engine";
import { type FocalConfig, focalOfAbsent, focalOfPresent } from "./focal.js";

export interface FocalMapOptions {
  /** Priors of a cell; 1 unless told. */
  readonly anchors?: number | undefined;
  /** Weight of positives; 1 unless told. */
  readonly positiveWeight?: number | undefined;
}

/**
 * Focal loss of one level's class map [N, A·K, H, W], summed. In the map's own layout: it is by far the largest tensor
 * of a step.
 * @param labels int64 [N, H·W·A]: class, -1 background, -2 counts neither way
 */
export function focalOfMap(
  cls: Tensor,
  labels: Tensor,
  focal: FocalConfig,
  { anchors = 1, positiveWeight = 1 }: FocalMapOptions = {},
): Tensor {
  return scope(() => {
    const [batch, channels, height, width] = cls.shape as [number, number, number, number];
    const map = cls.reshape([batch, anchors, channels / anchors, height, width]);
    const grid = labels.reshape([batch, height, width, anchors]).permute([0, 3, 1, 2]); // [N, A, H, W]
    const counts = grid.ge(-1).to({ dtype: cls.dtype }).unsqueeze(2);
    const positive = grid.ge(0);
    const weights = positiveWeight === 1 ? counts : counts.add(positive.unsqueeze(2).mul(positiveWeight - 1));
    const absent = focalOfAbsent(map, focal).mul(weights).sum();
    const places = positive.nonzero().unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    if (places[0].numel === 0) return absent;
    const [n, a, y, x] = places;
    const logits = map.index([n, a, grid.index([n, a, y, x]), y, x]);
    const change = focalOfPresent(logits, focal).sub(focalOfAbsent(logits, focal));
    return absent.add(change.sum().mul(positiveWeight));
  });
}
