// Functions over lists of tensors or with another first argument than a tensor; see fluent.ts for the methods.
import { Tensor } from "../tensor.js";
import type { Operand } from "./operand.js";
import { use } from "./operators.js";
import { choose } from "./options.js";

const catOp = use("cat");
/** Joined along an existing dimension; the other sizes must agree. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return catOp(tensors, dim);
}

const stackOp = use("stack");
/** Joined along a new dimension; all of one shape. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return stackOp(tensors, dim);
}

const einsumOp = use("einsum");
/** Sum of products by Einstein's notation: `einsum("nchw,oc->nohw", x, w)`. */
export function einsum(equation: string, ...tensors: readonly Tensor[]): Tensor {
  return einsumOp(equation, tensors);
}

const meshgridOp = use("meshgrid.indexing");
const indexings = { ij: "ij", xy: "xy" } as const;
/** Coordinates of a grid: of [H] and [W] two [H, W] with "ij" (rows first), two [W', H'] exchanged with "xy". */
export function meshgrid(tensors: readonly Tensor[], indexing: "ij" | "xy" = "ij"): Tensor[] {
  return meshgridOp(tensors, { indexing: choose("meshgrid", "indexing", indexings, indexing) });
}

const broadcastOp = use("broadcast_tensors");
/** All expanded to their common shape; views. */
export function broadcastTensors(...tensors: readonly Tensor[]): Tensor[] {
  return broadcastOp(tensors);
}

const whereOps = {
  tensors: use("where.self"),
  scalarOther: use("where.ScalarOther"),
  scalarSelf: use("where.ScalarSelf"),
  scalars: use("where.Scalar"),
};
/** Elements of `yes` where `condition` (bool) holds, of `no` elsewhere; each a tensor that broadcasts, or a number. */
export function where(condition: Tensor, yes: Operand, no: Operand): Tensor {
  if (yes instanceof Tensor)
    return no instanceof Tensor
      ? whereOps.tensors(condition, yes, no)
      : whereOps.scalarOther(condition, yes, no);
  return no instanceof Tensor
    ? whereOps.scalarSelf(condition, yes, no)
    : whereOps.scalars(condition, yes, no);
}
