// Reading maps at any points.
import type { Tensor } from "../tensor.js";
import { use } from "./operators.js";
import { choose, optionsOf } from "./options.js";

export interface GridSampleOptions {
  readonly mode?: "bilinear" | "nearest" | "bicubic" | undefined;
  /** What lies outside the map: zeros, its border's cells, or its mirror image. */
  readonly paddingMode?: "zeros" | "border" | "reflection" | undefined;
  /** -1 and 1 are the centres of the corner cells, instead of the map's edges. */
  readonly alignCorners?: boolean | undefined;
}
const gridModes = { bilinear: 0, nearest: 1, bicubic: 2 } as const;
const gridPaddings = { zeros: 0, border: 1, reflection: 2 } as const;
const gridOptions = optionsOf("gridSample", {
  mode: "bilinear",
  paddingMode: "zeros",
  alignCorners: false,
} as GridSampleOptions);
const gridSampler = use("grid_sampler");
/** x [N, C, H, W] read at grid [N, H', W', 2], (x, y) from -1 to 1 -> [N, C, H', W']. */
export function gridSample(x: Tensor, grid: Tensor, options?: GridSampleOptions): Tensor {
  const { mode = "bilinear", paddingMode = "zeros", alignCorners = false } = gridOptions(options);
  const chosen = choose("gridSample", "mode", gridModes, mode);
  return gridSampler(
    x,
    grid,
    chosen,
    choose("gridSample", "paddingMode", gridPaddings, paddingMode),
    alignCorners,
  );
}

const affineGridOptions = optionsOf("affineGrid", { alignCorners: false } as {
  alignCorners?: boolean | undefined;
});
const affineGridOp = use("affine_grid_generator");
/** The grid for {@link gridSample} that theta [N, 2, 3] maps a result of `size` [N, C, H, W] to; [N, H, W, 2]. */
export function affineGrid(
  theta: Tensor,
  size: readonly number[],
  options?: { alignCorners?: boolean | undefined },
): Tensor {
  return affineGridOp(theta, size, affineGridOptions(options).alignCorners ?? false);
}
