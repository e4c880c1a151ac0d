import { ops, scope, type Tensor } from "@sepc/engine";

export interface DistanceOptions {
  /** Height and width to clip to. */
  readonly limits?: readonly [number, number] | undefined;
  /** Clips to the last pixel instead of the edge, as mmdetection 1.x. */
  readonly legacyBoxes?: boolean | undefined;
}

/** Points `[N, 2]` and distances to the left, top, right and bottom `[N, 4]`, in pixels -> boxes `[N, 4]` (FCOS). */
export function decodeDistances(points: Tensor, distances: Tensor, options: DistanceOptions = {}): Tensor {
  return scope(() => {
    const [x, y] = points.unbind(1) as [Tensor, Tensor];
    const [left, top, right, bottom] = distances.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const sides = [x.sub(left), y.sub(top), x.add(right), y.add(bottom)];
    if (options.limits === undefined) return ops.stack(sides, 1);
    const extra = options.legacyBoxes ? 1 : 0;
    const [height, width] = options.limits;
    const clipped = sides.map((side, i) =>
      side.clamp({ min: 0, max: (i % 2 === 0 ? width : height) - extra }),
    );
    return ops.stack(clipped, 1);
  });
}
