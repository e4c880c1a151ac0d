// Comparisons, element by element with broadcasting; results are of dtype bool.
import type { Tensor } from "../tensor.js";
import { type Binary, binary } from "./operand.js";
import { use } from "./operators.js";
import { optionsOf } from "./options.js";

type Unary = (x: Tensor) => Tensor;

export const eq: Binary = binary(use("eq.Tensor"), use("eq.Scalar"));
export const ne: Binary = binary(use("ne.Tensor"), use("ne.Scalar"));
export const lt: Binary = binary(use("lt.Tensor"), use("lt.Scalar"));
export const le: Binary = binary(use("le.Tensor"), use("le.Scalar"));
export const gt: Binary = binary(use("gt.Tensor"), use("gt.Scalar"));
export const ge: Binary = binary(use("ge.Tensor"), use("ge.Scalar"));

/** Any dtype: what is not zero is true. */
export const logicalAnd: (x: Tensor, y: Tensor) => Tensor = use("logical_and");
export const logicalOr: (x: Tensor, y: Tensor) => Tensor = use("logical_or");
export const logicalXor: (x: Tensor, y: Tensor) => Tensor = use("logical_xor");
export const logicalNot: Unary = use("logical_not");
export const isnan: Unary = use("isnan");
export const isinf: Unary = use("isinf");
export const isfinite: Unary = use("isfinite");

/** Whether both have the same shape and elements; NaN differs from everything. */
export const equal: (x: Tensor, y: Tensor) => boolean = use("equal");

export interface CloseOptions {
  /** Relative to |y|; 1e-5 unless told. */
  readonly rtol?: number | undefined;
  /** 1e-8 unless told. */
  readonly atol?: number | undefined;
  /** Whether NaN is close to NaN. */
  readonly equalNan?: boolean | undefined;
}
const closeOptions = optionsOf("isclose", { rtol: 1e-5, atol: 1e-8, equalNan: false } as CloseOptions);
const closeEach = use("isclose");
const closeAll = use("allclose");

/** |x - y| ≤ atol + rtol · |y| */
export function isclose(x: Tensor, y: Tensor, options?: CloseOptions): Tensor {
  const { rtol, atol, equalNan } = closeOptions(options);
  return closeEach(x, y, rtol, atol, equalNan);
}

/** Whether all elements are close. */
export function allclose(x: Tensor, y: Tensor, options?: CloseOptions): boolean {
  const { rtol, atol, equalNan } = closeOptions(options);
  return closeAll(x, y, rtol, atol, equalNan);
}

const isinTensors = use("isin.Tensor_Tensor");
/** Which elements of x occur in `among`; bool, of x's shape. */
export function isin(x: Tensor, among: Tensor): Tensor {
  return isinTensors(x, among);
}
