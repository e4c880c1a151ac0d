// One call over many tensors, as optimisers, moving averages and gradient clipping need it. Each has one form for a
// number, for numbers one for each tensor, and for tensors; those that end in _ write into the first list.
import { check } from "../errors.js";
import { Tensor } from "../tensor.js";
import { copy_, lerp_ } from "./elementwise.js";
import { use } from "./operators.js";

type Tensors = readonly Tensor[];
/** One number for all, one for each tensor, or one tensor for each. */
export type ForeachOperand = number | readonly number[] | Tensors;

interface Forms<R> {
  readonly scalar: (tensors: Tensors, value: number) => R;
  readonly scalars: (tensors: Tensors, values: readonly number[]) => R;
  readonly list: (tensors: Tensors, others: Tensors) => R;
}

function isTensors(other: readonly number[] | Tensors): other is Tensors {
  return other.length === 0 || other[0] instanceof Tensor;
}

function over<R>(forms: Forms<R>, tensors: Tensors, other: ForeachOperand): R {
  if (typeof other === "number") return forms.scalar(tensors, other);
  return isTensors(other) ? forms.list(tensors, other) : forms.scalars(tensors, other);
}

const forms = <N extends "add" | "sub" | "mul" | "div">(name: N): Forms<Tensor[]> => ({
  scalar: use(`_foreach_${name}.Scalar` as "_foreach_mul.Scalar"),
  scalars: use(`_foreach_${name}.ScalarList` as "_foreach_mul.ScalarList"),
  list: use(`_foreach_${name}.List` as "_foreach_mul.List"),
});
const inPlaceForms = <N extends "add" | "sub" | "mul" | "div">(name: N): Forms<null> => ({
  scalar: use(`_foreach_${name}_.Scalar` as "_foreach_mul_.Scalar"),
  scalars: use(`_foreach_${name}_.ScalarList` as "_foreach_mul_.ScalarList"),
  list: use(`_foreach_${name}_.List` as "_foreach_mul_.List"),
});

const making = (name: "add" | "sub" | "mul" | "div") => {
  const known = forms(name);
  return (tensors: Tensors, other: ForeachOperand): Tensor[] => over(known, tensors, other);
};
const writing = (name: "add" | "sub" | "mul" | "div") => {
  const known = inPlaceForms(name);
  return (tensors: Tensors, other: ForeachOperand): void => {
    over(known, tensors, other);
  };
};

export const foreachSub = making("sub");
export const foreachSub_ = writing("sub");
export const foreachMul = making("mul");
export const foreachMul_ = writing("mul");
export const foreachDiv = making("div");
export const foreachDiv_ = writing("div");

const addForms = forms("add");
const addInPlaceForms = inPlaceForms("add");
const addLists = use("_foreach_add.List");
const addListsInPlace = use("_foreach_add_.List");
/** tensors + alpha · other; `alpha` for tensors only. */
export function foreachAdd(tensors: Tensors, other: ForeachOperand, alpha = 1): Tensor[] {
  if (alpha === 1) return over(addForms, tensors, other);
  return addLists(tensors, asTensors("foreachAdd", other), { alpha });
}
export function foreachAdd_(tensors: Tensors, other: ForeachOperand, alpha = 1): void {
  if (alpha === 1) over(addInPlaceForms, tensors, other);
  else addListsInPlace(tensors, asTensors("foreachAdd_", other), { alpha });
}

function asTensors(name: string, other: ForeachOperand): Tensors {
  check(
    typeof other !== "number" && isTensors(other),
    () => `${name}: expected a list of tensors with alpha, got numbers`,
  );
  return other;
}

const addcmulOp = use("_foreach_addcmul_.Scalar");
const addcdivOp = use("_foreach_addcdiv_.Scalar");
/** tensors += value · a · b */
export function foreachAddcmul_(tensors: Tensors, a: Tensors, b: Tensors, value = 1): void {
  addcmulOp(tensors, a, b, value);
}
/** tensors += value · a / b */
export function foreachAddcdiv_(tensors: Tensors, a: Tensors, b: Tensors, value = 1): void {
  addcdivOp(tensors, a, b, value);
}

export const foreachSqrt: (tensors: Tensors) => Tensor[] = use("_foreach_sqrt");
export const foreachNeg: (tensors: Tensors) => Tensor[] = use("_foreach_neg");
export const foreachAbs: (tensors: Tensors) => Tensor[] = use("_foreach_abs");
const maximumOp = use("_foreach_maximum_.List");
/** Each the larger of itself and its partner. */
export function foreachMaximum_(tensors: Tensors, others: Tensors): void {
  maximumOp(tensors, others);
}
const normOp = use("_foreach_norm.Scalar");
/** The p-norm of each; tensors without dimensions. */
export function foreachNorm(tensors: Tensors, p = 2): Tensor[] {
  return normOp(tensors, p);
}
const zeroOp = use("_foreach_zero_");
export function foreachZero_(tensors: Tensors): void {
  zeroOp(tensors);
}

function sameLength(name: string, tensors: Tensors, others: Tensors): void {
  check(
    tensors.length === others.length,
    () => `${name}: expected as many tensors in both lists, got ${tensors.length} and ${others.length}`,
  );
}
/** Copies each of `sources` into its partner. */
export function foreachCopy_(tensors: Tensors, sources: Tensors): void {
  sameLength("foreachCopy_", tensors, sources);
  for (const [i, target] of tensors.entries()) copy_(target, sources[i] as Tensor);
}
/** tensors += weight · (ends - tensors): a moving average. */
export function foreachLerp_(tensors: Tensors, ends: Tensors, weight: number): void {
  sameLength("foreachLerp_", tensors, ends);
  for (const [i, target] of tensors.entries()) lerp_(target, ends[i] as Tensor, weight);
}
