import { ops, scope, type Tensor } from "@sepc/engine";

/**
 * -log of the overlap of boxes around one point, from their distances to bottom, top, left and right, `[N, 4]` each ->
 * `[N]` (Yu et al. 2016, as FSAF has it). In the units of the distances a union counts at least 1.
 */
export function tblrIouLoss(predicted: Tensor, target: Tensor, least = 1e-6): Tensor {
  return scope(() => {
    const p = predicted.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const t = target.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const area = (d: readonly [Tensor, Tensor, Tensor, Tensor]): Tensor => d[0].add(d[1]).mul(d[2].add(d[3]));
    const shared = (i: 0 | 2): Tensor =>
      ops.minimum(p[i], t[i]).add(ops.minimum(p[i + 1] as Tensor, t[i + 1] as Tensor));
    const overlap = shared(0).mul(shared(2));
    const union = area(p).add(area(t)).sub(overlap).clamp({ min: 1 });
    return overlap.div(union).clamp({ min: least }).log().neg();
  });
}
