import { ops, scope, type Tensor } from "@sepc/engine";
import { smoothL1 } from "./smoothL1.js";

export interface BoundedIouOptions {
  /** Where it becomes straight. */
  readonly beta?: number | undefined;
  readonly legacyBoxes?: boolean | undefined;
}

/** Keeps quotients finite, as in mmdetection 1.x. */
const eps = 1e-3;

/**
 * Of boxes `[N, 4]`, xyxy, with their targets -> `[N, 4]`: for centre (x, y) and size (width, height) by itself, how far
 * the overlap could reach if everything else were right (Tychsen-Smith and Petersson 2018, section 3.3).
 */
export function boundedIouLoss(predicted: Tensor, target: Tensor, options: BoundedIouOptions = {}): Tensor {
  const { beta = 0.2, legacyBoxes = false } = options;
  return scope(() => {
    const p = predicted.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const t = target.detach().unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const side = (box: typeof p, i: 0 | 1): Tensor =>
      box[i === 0 ? 2 : 3].sub(box[i]).add(legacyBoxes ? 1 : 0);
    const centre = (box: typeof p, i: 0 | 1): Tensor => box[i].add(box[i === 0 ? 2 : 3]).mul(0.5);
    const ofCentre = (i: 0 | 1): Tensor => {
      const twice = ops.abs(centre(t, i).sub(centre(p, i))).mul(2);
      const size = side(t, i);
      return size.sub(twice).div(size.add(twice).add(eps)).clamp({ min: 0 });
    };
    const ofSize = (i: 0 | 1): Tensor => {
      const [own, wanted] = [side(p, i), side(t, i)];
      return ops.minimum(wanted.div(own.add(eps)), own.div(wanted.add(eps)));
    };
    const reach = ops.stack([ofCentre(0), ofCentre(1), ofSize(0), ofSize(1)], -1);
    return smoothL1(reach.neg().add(1), ops.zerosLike(reach), beta);
  });
}
