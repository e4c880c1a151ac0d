import { ops, scope, type Tensor } from "@sepc/engine";

/** Distances to the left, top, right and bottom `[M, 4]` -> how central the point lies, `[M]`, 0-1 (FCOS, equation 3). */
export function centernessOf(distances: Tensor): Tensor {
  return scope(() => {
    const [left, top, right, bottom] = distances.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    const share = (a: Tensor, b: Tensor): Tensor => ops.minimum(a, b).div(ops.maximum(a, b));
    return share(left, right).mul(share(top, bottom)).sqrt();
  });
}
