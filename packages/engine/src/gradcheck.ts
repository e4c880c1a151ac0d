import { enableGrad, grad, noGrad } from "./autograd.js";
import { zeros } from "./create.js";
import { tensorOp } from "./door.js";
import { check, EngineError } from "./errors.js";
import { scope } from "./scope.js";
import type { Tensor } from "./tensor.js";

const clone = tensorOp("aten::clone");
const zerosLike = tensorOp("aten::zeros_like");
const contiguous = tensorOp("aten::contiguous");

export interface GradcheckOptions {
  /** Step of the central differences. */
  readonly eps?: number | undefined;
  readonly atol?: number | undefined;
  readonly rtol?: number | undefined;
  /** At most so many elements of each input, spread evenly over it; all unless told. */
  readonly maxElements?: number | undefined;
}

type Differentiable = (...inputs: Tensor[]) => Tensor | readonly Tensor[];

function outputsOf(fn: Differentiable, inputs: readonly Tensor[]): readonly Tensor[] {
  const result = fn(...inputs);
  return Array.isArray(result) ? result : [result as Tensor];
}

/** d(output)/d(input), one row for each element of the output, by automatic differentiation. */
function analyticRows(output: Tensor, input: Tensor): Float64Array[] {
  // An output that no recorded operation made is a constant.
  if (!output.requiresGrad) return Array.from({ length: output.numel }, () => new Float64Array(input.numel));
  return Array.from({ length: output.numel }, (_, i) =>
    scope(() => {
      const unit = zeros(output.shape, { dtype: "float64" });
      (unit.shareTypedArray() as Float64Array)[i] = 1;
      const [row] = grad([output], [input], { gradOutputs: [unit], retainGraph: true, allowUnused: true });
      return row === null || row === undefined
        ? new Float64Array(input.numel)
        : (row.toTypedArray() as Float64Array);
    }),
  );
}

/** d(outputs)/d(input element), by central differences: for each output a column. */
function numericColumns(
  fn: Differentiable,
  inputs: readonly Tensor[],
  which: number,
  element: number,
  eps: number,
): Float64Array[] {
  const at = (shift: number): Float64Array[] =>
    scope(() =>
      noGrad(() => {
        const moved = inputs.map((input) => contiguous(clone(input)));
        const values = (moved[which] as Tensor).shareTypedArray() as Float64Array;
        values[element] = (values[element] as number) + shift;
        return outputsOf(fn, moved).map((output) => output.toTypedArray() as Float64Array);
      }),
    );
  const [above, below] = [at(eps), at(-eps)];
  return above.map((values, i) => values.map((value, j) => (value - (below[i]?.[j] as number)) / (2 * eps)));
}

function spread(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  check(most >= 1, () => `gradcheck: expected maxElements of at least 1, got ${most}`);
  return Array.from({ length: Math.floor(most) }, (_, i) => Math.floor((i * count) / Math.floor(most)));
}

/**
 * Compares the gradients of `fn` with central differences, for every element of every input that requires gradients
 * and every output. Inputs are float64; `fn` must give the same for the same inputs.
 *
 * @throws EngineError BAD_ARGUMENT for other inputs; OP_FAILED at the first gradient that differs, naming output, input,
 * elements and both values.
 */
export function gradcheck(
  fn: Differentiable,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): void {
  const { eps = 1e-6, atol = 1e-5, rtol = 1e-3, maxElements = Number.POSITIVE_INFINITY } = options;
  const checked = inputs.flatMap((input, i) => (input.requiresGrad ? [i] : []));
  if (checked.length === 0)
    throw new EngineError("BAD_ARGUMENT", "gradcheck: expected an input that requires gradients, got none");
  for (const i of checked) {
    const { dtype } = inputs[i] as Tensor;
    if (dtype !== "float64") {
      throw new EngineError(
        "BAD_ARGUMENT",
        `gradcheck: expected float64 inputs (differences need the digits), got ${dtype} for input ${i}`,
      );
    }
  }
  scope(() => {
    const outputs = outputsOf(fn, inputs);
    for (const which of checked) {
      const input = inputs[which] as Tensor;
      const analytic = outputs.map((output) => analyticRows(output, input));
      for (const element of spread(input.numel, maxElements)) {
        const numeric = numericColumns(fn, inputs, which, element, eps);
        for (const [o, column] of numeric.entries()) {
          for (const [j, expected] of column.entries()) {
            const got = analytic[o]?.[j]?.[element] as number;
            if (Math.abs(got - expected) <= atol + rtol * Math.abs(expected)) continue;
            throw new EngineError(
              "OP_FAILED",
              `gradcheck: d output ${o}[${j}] / d input ${which}[${element}]: the gradient is ${got}, the central difference ${expected}`,
            );
          }
        }
      }
    }
  });
}

/**
 * As {@link gradcheck} for second derivatives: checks the gradients of `fn`'s gradients, weighted by fixed numbers.
 * Inputs that the first gradients do not depend on (a linear function's) count as right when their differences are 0.
 */
export function gradgradcheck(
  fn: Differentiable,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): void {
  const trained = inputs.flatMap((input, i) => (input.requiresGrad ? [i] : []));
  const firstGradients: Differentiable = (...given) =>
    enableGrad(() => {
      // Differences are taken at detached copies.
      for (const i of trained)
        if (!(given[i] as Tensor).requiresGrad) (given[i] as Tensor).requiresGrad = true;
      const outputs = outputsOf(fn, given);
      const found = grad(
        outputs,
        trained.map((i) => given[i] as Tensor),
        {
          gradOutputs: outputs.map(weights),
          createGraph: true,
          allowUnused: true,
        },
      );
      return found.map((gradient, i) => gradient ?? zerosLike(given[trained[i] as number] as Tensor));
    });
  gradcheck(firstGradients, inputs, options);
}

/** Numbers that differ from element to element, so that errors do not cancel. */
function weights(output: Tensor): Tensor {
  const made = zeros(output.shape, { dtype: "float64" });
  const values = made.shareTypedArray() as Float64Array;
  for (let i = 0; i < values.length; i++) values[i] = 1 + Math.sin(i + 1) / 2;
  return made;
}
