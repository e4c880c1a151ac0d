import { grad, noGrad } from "./autograd.js";
import { zeros } from "./create.js";
import { tensorOp } from "./door.js";
import { EngineError } from "./errors.js";
import { scope } from "./scope.js";
import type { Tensor } from "./tensor.js";

const clone = tensorOp("aten::clone");
const contiguous = tensorOp("aten::contiguous");

export interface GradcheckOptions {
  /** Step of the central differences. */
  readonly eps?: number | undefined;
  readonly atol?: number | undefined;
  readonly rtol?: number | undefined;
}

type Differentiable = (...inputs: Tensor[]) => Tensor | readonly Tensor[];

function outputsOf(fn: Differentiable, inputs: readonly Tensor[]): readonly Tensor[] {
  const result = fn(...inputs);
  return Array.isArray(result) ? result : [result as Tensor];
}

/** d(output)/d(input), one row for each element of the output, by automatic differentiation. */
function analyticRows(output: Tensor, input: Tensor): Float64Array[] {
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
  const { eps = 1e-6, atol = 1e-5, rtol = 1e-3 } = options;
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
      for (let element = 0; element < input.numel; element++) {
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
