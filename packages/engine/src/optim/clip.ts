import { noGrad } from "../autograd.js";
import { op, tensorOp } from "../door.js";
import { check, EngineError } from "../errors.js";
import { Parameter } from "../nn/module.js";
import { scope } from "../scope.js";
import type { Tensor } from "../tensor.js";

const norms = op("aten::_foreach_norm.Scalar");
const stack = tensorOp("aten::stack");
const vectorNorm = tensorOp("aten::linalg_vector_norm");
const toCopy = tensorOp("aten::_to_copy");
const mulScalar_ = op("aten::_foreach_mul_.Scalar");
const clamp_ = op("aten::clamp_");

function gradients(what: string, params: readonly Parameter[]): Tensor[] {
  check(
    Array.isArray(params) && params.every((parameter) => parameter instanceof Parameter),
    () => `${what}: expected an array of Parameters, as module.parameters() gives`,
  );
  return params.map((parameter) => parameter.tensor.grad).filter((gradient) => gradient !== null);
}

export interface ClipOptions {
  /** 2 unless told; Infinity for the largest element. */
  readonly normType?: number | undefined;
  /** Throw when the norm is NaN or infinite instead of scaling by it. */
  readonly errorIfNonfinite?: boolean | undefined;
}

/**
 * Scales all gradients so that their joint norm is at most `maxNorm`. Returns the norm before. A norm that is not finite
 * spreads: gradients become NaN or 0, so that it is noticed.
 * @throws EngineError BAD_ARGUMENT for a `maxNorm` below 0 or NaN; OP_FAILED with `errorIfNonfinite`, gradients as they were.
 */
export function clipGradNorm_(
  params: readonly Parameter[],
  maxNorm: number,
  options: ClipOptions = {},
): number {
  const { normType = 2, errorIfNonfinite = false } = options;
  check(maxNorm >= 0, () => `clipGradNorm_: expected maxNorm >= 0, got ${maxNorm}`);
  check(
    normType > 0,
    () => `clipGradNorm_: expected normType > 0, Infinity for the largest, got ${normType}`,
  );
  return noGrad(() =>
    scope(() => {
      const grads = gradients("clipGradNorm_", params);
      if (grads.length === 0) return 0;
      const each = norms(grads, normType) as Tensor[];
      const joined = stack(each.map((norm) => toCopy(norm, { dtype: "float64", device: "cpu" })));
      const total = vectorNorm(joined, normType).item();
      if (errorIfNonfinite && !Number.isFinite(total)) {
        throw new EngineError(
          "OP_FAILED",
          `clipGradNorm_: expected gradients of a finite norm, got ${total}; leave out this step, or lower the learning rate`,
        );
      }
      const factor = maxNorm / (total + 1e-6);
      // NaN is no reason to leave gradients alone: scaled by it they show what happened.
      if (!(factor >= 1)) mulScalar_(grads, factor);
      return total;
    }),
  );
}

/**
 * Limits every element of every gradient to [−limit, limit].
 * @throws EngineError BAD_ARGUMENT for a limit below 0 or NaN.
 */
export function clipGradValue_(params: readonly Parameter[], limit: number): void {
  check(limit >= 0, () => `clipGradValue_: expected limit >= 0, got ${limit}`);
  noGrad(() =>
    scope(() =>
      gradients("clipGradValue_", params).forEach((gradient) => void clamp_(gradient, -limit, limit)),
    ),
  );
}
