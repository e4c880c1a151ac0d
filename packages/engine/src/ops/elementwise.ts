// Arithmetic element by element. Shapes broadcast: [N, C, 1, 1] with [H, W] gives [N, C, H, W]. Dtypes promote as in
// PyTorch; a number never widens a tensor of its own kind. Whole numbers (2, and 2.0, which JavaScript cannot tell
// apart) are integers to libtorch. Names that end in _ write into their first argument and return it.
import { Tensor } from "../tensor.js";
import { type Binary, binary, type Operand } from "./operand.js";
import { use } from "./operators.js";
import { choose, optionsOf } from "./options.js";

type Unary = (x: Tensor) => Tensor;

export interface AlphaOptions {
  /** Factor on the second operand; 1 unless told. */
  readonly alpha?: number | undefined;
}

function scaled(
  name: string,
  suffix: "" | "_" | "r",
): (x: Tensor, y: Operand, options?: AlphaOptions) => Tensor {
  const base = suffix === "r" ? "rsub" : (`${name}${suffix}` as "add" | "add_" | "sub" | "sub_");
  const [tensors, scalars] = [use(`${base}.Tensor`), use(`${base}.Scalar`)];
  const read = optionsOf(base, { alpha: 1 } as { alpha: number | undefined });
  return (x, y, options) => {
    if (options === undefined) return y instanceof Tensor ? tensors(x, y) : scalars(x, y);
    const { alpha } = read(options);
    return y instanceof Tensor ? tensors(x, y, { alpha }) : scalars(x, y, alpha);
  };
}

/** x + alpha · y */
export const add = scaled("add", "");
export const add_ = scaled("add", "_");
/** x - alpha · y */
export const sub = scaled("sub", "");
export const sub_ = scaled("sub", "_");
/** y - alpha · x: `rsub(x, 1)` is 1 - x. */
export const rsub = scaled("sub", "r");

/** x · y */
export const mul: Binary = binary(use("mul.Tensor"), use("mul.Scalar"));
export const mul_: Binary = binary(use("mul_.Tensor"), use("mul_.Scalar"));

export interface DivOptions {
  /** "trunc" rounds quotients towards zero, "floor" down; integers stay integers with either. */
  readonly roundingMode?: "trunc" | "floor" | undefined;
}
const divOptions = optionsOf("div", { roundingMode: undefined } as DivOptions);
const rounding = { trunc: "trunc", floor: "floor" } as const;

function divide(
  plain: Binary,
  tensors: (x: Tensor, y: Tensor, o: { rounding_mode: string }) => Tensor,
  scalars: (x: Tensor, y: number | bigint, o: { rounding_mode: string }) => Tensor,
): (x: Tensor, y: Operand, options?: DivOptions) => Tensor {
  return (x, y, options) => {
    const { roundingMode } = divOptions(options);
    if (roundingMode === undefined) return plain(x, y);
    const rounded = { rounding_mode: choose("div", "roundingMode", rounding, roundingMode) };
    return y instanceof Tensor ? tensors(x, y, rounded) : scalars(x, y, rounded);
  };
}

/** x / y; integers give float32 unless a rounding mode is told. */
export const div = divide(
  binary(use("div.Tensor"), use("div.Scalar")),
  use("div.Tensor_mode"),
  use("div.Scalar_mode"),
);
export const div_ = divide(
  binary(use("div_.Tensor"), use("div_.Scalar")),
  use("div_.Tensor_mode"),
  use("div_.Scalar_mode"),
);
/** What division leaves, with the sign of the divisor, as Python's %. */
export const remainder: Binary = binary(use("remainder.Tensor"), use("remainder.Scalar"));
export const remainder_: Binary = binary(use("remainder_.Tensor"), use("remainder_.Scalar"));
/** What division leaves, with the sign of the dividend, as C's fmod and JavaScript's %. */
export const fmod: Binary = binary(use("fmod.Tensor"), use("fmod.Scalar"));

const powers = {
  both: use("pow.Tensor_Tensor"),
  exponent: use("pow.Tensor_Scalar"),
  base: use("pow.Scalar"),
};
/** x to the power y; one of them may be a number. */
export function pow(x: Operand, y: Operand): Tensor {
  if (!(x instanceof Tensor)) return powers.base(x, y as Tensor);
  return y instanceof Tensor ? powers.both(x, y) : powers.exponent(x, y);
}
export const pow_: Binary = binary(use("pow_.Tensor"), use("pow_.Scalar"));

export const neg: Unary = use("neg");
export const neg_: Unary = use("neg_");
export const abs: Unary = use("abs");
export const abs_: Unary = use("abs_");
/** -1, 0 or 1. */
export const sign: Unary = use("sign");
/** x² */
export const square: Unary = use("square");
export const sqrt: Unary = use("sqrt");
export const sqrt_: Unary = use("sqrt_");
/** 1 / √x */
export const rsqrt: Unary = use("rsqrt");
export const rsqrt_: Unary = use("rsqrt_");
/** 1 / x */
export const reciprocal: Unary = use("reciprocal");
export const reciprocal_: Unary = use("reciprocal_");
export const exp: Unary = use("exp");
export const exp_: Unary = use("exp_");
export const exp2: Unary = use("exp2");
/** eˣ - 1, exact near zero. */
export const expm1: Unary = use("expm1");
export const log: Unary = use("log");
export const log_: Unary = use("log_");
export const log2: Unary = use("log2");
export const log10: Unary = use("log10");
/** log(1 + x), exact near zero. */
export const log1p: Unary = use("log1p");
export const sin: Unary = use("sin");
export const cos: Unary = use("cos");
export const tan: Unary = use("tan");
export const asin: Unary = use("asin");
export const acos: Unary = use("acos");
export const atan: Unary = use("atan");
/** Angle of the point (y, x): first argument y, second x. */
export const atan2: (y: Tensor, x: Tensor) => Tensor = use("atan2");
export const erf: Unary = use("erf");
export const floor: Unary = use("floor");
export const floor_: Unary = use("floor_");
export const ceil: Unary = use("ceil");
export const ceil_: Unary = use("ceil_");
/** To the nearest integer, halves to the even one. */
export const round: Unary = use("round");
export const round_: Unary = use("round_");
export const trunc: Unary = use("trunc");
/** x - trunc(x) */
export const frac: Unary = use("frac");

export const minimum: (x: Tensor, y: Tensor) => Tensor = use("minimum");
export const maximum: (x: Tensor, y: Tensor) => Tensor = use("maximum");

export interface Bounds {
  readonly min?: Operand | null | undefined;
  readonly max?: Operand | null | undefined;
}
const bounds = optionsOf("clamp", { min: null, max: null } as Bounds);

type Limit = number | bigint | null;
function clamping(
  scalars: (x: Tensor, min: Limit, max: Limit) => Tensor,
  tensors: (x: Tensor, min: Tensor | null, max: Tensor | null) => Tensor,
  lower: (x: Tensor, min: number | bigint) => Tensor,
  upper: (x: Tensor, max: number | bigint) => Tensor,
): (x: Tensor, limits: Bounds) => Tensor {
  return (x, limits) => {
    const { min = null, max = null } = bounds(limits);
    if (min instanceof Tensor) {
      return max === null || max instanceof Tensor ? tensors(x, min, max) : upper(tensors(x, min, null), max);
    }
    if (!(max instanceof Tensor)) return scalars(x, min, max);
    return tensors(min === null ? x : lower(x, min), null, max);
  };
}
/** x limited to [min, max]; each a number, a tensor that broadcasts, or left out. Where min > max the result is max. */
export const clamp = clamping(use("clamp"), use("clamp.Tensor"), use("clamp_min"), use("clamp_max"));
export const clamp_ = clamping(use("clamp_"), use("clamp_.Tensor"), use("clamp_min_"), use("clamp_max_"));
/** The larger of x and `min`. */
export const clampMin: Binary = binary(use("clamp_min.Tensor"), use("clamp_min"));
export const clampMin_: Binary = binary(use("clamp_min_.Tensor"), use("clamp_min_"));
/** The smaller of x and `max`. */
export const clampMax: Binary = binary(use("clamp_max.Tensor"), use("clamp_max"));
export const clampMax_: Binary = binary(use("clamp_max_.Tensor"), use("clamp_max_"));

function interpolating(
  tensors: (x: Tensor, end: Tensor, weight: Tensor) => Tensor,
  scalars: (x: Tensor, end: Tensor, weight: number | bigint) => Tensor,
): (x: Tensor, end: Tensor, weight: Operand) => Tensor {
  return (x, end, weight) => (weight instanceof Tensor ? tensors(x, end, weight) : scalars(x, end, weight));
}
/** x + weight · (end - x) */
export const lerp = interpolating(use("lerp.Tensor"), use("lerp.Scalar"));
export const lerp_ = interpolating(use("lerp_.Tensor"), use("lerp_.Scalar"));

export interface ValueOptions {
  /** Factor on the product or quotient; 1 unless told. */
  readonly value?: number | undefined;
}
function combining(
  name: "addcmul" | "addcdiv" | "addcmul_" | "addcdiv_",
): (x: Tensor, a: Tensor, b: Tensor, options?: ValueOptions) => Tensor {
  const operator = use(name);
  const read = optionsOf(name, { value: 1 } as { value: number | undefined });
  return (x, a, b, options) => operator(x, a, b, { value: read(options).value });
}
/** x + value · a · b */
export const addcmul = combining("addcmul");
export const addcmul_ = combining("addcmul_");
/** x + value · a / b */
export const addcdiv = combining("addcdiv");
export const addcdiv_ = combining("addcdiv_");

/** For booleans and integers; on booleans the logical operations. */
export const bitwiseAnd: Binary = binary(use("bitwise_and.Tensor"), use("bitwise_and.Scalar"));
export const bitwiseOr: Binary = binary(use("bitwise_or.Tensor"), use("bitwise_or.Scalar"));
export const bitwiseXor: Binary = binary(use("bitwise_xor.Tensor"), use("bitwise_xor.Scalar"));
export const bitwiseNot: Unary = use("bitwise_not");

/** Sets every element to zero. */
export const zero_: Unary = use("zero_");
/** Sets every element to a number, or to a tensor of one element. */
export const fill_: Binary = binary(use("fill_.Tensor"), use("fill_.Scalar"));

const copy = use("copy_");
/** Copies `source` into x: broadcast, converted to x's dtype and brought to its device. Differentiable. */
export const copy_: (x: Tensor, source: Tensor) => Tensor = (x, source) => copy(x, source);

export interface NanToNumOptions {
  /** 0 unless told. */
  readonly nan?: number | undefined;
  /** The dtype's largest finite value unless told. */
  readonly posinf?: number | null | undefined;
  readonly neginf?: number | null | undefined;
}
const nanOptions = optionsOf("nanToNum", { nan: 0, posinf: null, neginf: null } as NanToNumOptions);
const replaceNan = use("nan_to_num");
/** NaN and infinities replaced by finite numbers. */
export function nanToNum(x: Tensor, options?: NanToNumOptions): Tensor {
  const { nan = null, posinf = null, neginf = null } = nanOptions(options);
  return replaceNan(x, nan, posinf, neginf);
}
