import { Tensor } from "../tensor.js";

/** A tensor, or one number for all elements. */
export type Operand = Tensor | number | bigint;
export type Binary = (x: Tensor, y: Operand) => Tensor;

/** The overload over tensors or that over numbers, as the second operand asks. */
export function binary(
  tensors: (x: Tensor, y: Tensor) => Tensor,
  scalars: (x: Tensor, y: number | bigint) => Tensor,
): Binary {
  return (x, y) => (y instanceof Tensor ? tensors(x, y) : scalars(x, y));
}
