import { EngineError, engineError } from "./errors.js";
import { native } from "./native.js";
import { runSync } from "./scope.js";
import { Tensor } from "./tensor.js";

function handlesOf(what: string, tensors: readonly (Tensor | null)[]): number[] {
  return tensors.map((tensor) => {
    if (tensor === null) return -1;
    if (!(tensor instanceof Tensor))
      throw new EngineError("BAD_ARGUMENT", `${what}: expected a Tensor, got ${typeof tensor}`);
    if (tensor.isFreed) throw new EngineError("FREED", `${what}: the tensor has been freed`);
    return tensor.handle;
  });
}

function guard<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw engineError(cause, what);
  }
}

export interface BackwardOptions {
  /** Gradient of what is differentiated, of its shape; needed unless it has one element. */
  readonly gradient?: Tensor | undefined;
  /** Keep the recorded graph for another pass. */
  readonly retainGraph?: boolean | undefined;
  /** Record the pass itself, for second derivatives. */
  readonly createGraph?: boolean | undefined;
  /** Accumulate only into these leaves; into all unless told. */
  readonly inputs?: readonly Tensor[] | undefined;
}

/** Adds d(loss)/d(leaf) to `grad` of every leaf that requires gradients. */
export function backward(loss: Tensor, options: BackwardOptions = {}): void {
  const { gradient, retainGraph = false, createGraph = false, inputs = [] } = options;
  const [roots, gradients, leaves] = [[loss], [gradient ?? null], inputs].map((list) =>
    handlesOf("backward", list),
  ) as [number[], number[], number[]];
  guard("backward", () => native.backward(roots, gradients, retainGraph || createGraph, createGraph, leaves));
}

export interface GradOptions {
  /** One for each output; needed where an output has more than one element. */
  readonly gradOutputs?: readonly (Tensor | null)[] | undefined;
  readonly retainGraph?: boolean | undefined;
  readonly createGraph?: boolean | undefined;
  /** Give null for inputs that the outputs do not depend on, instead of an error. */
  readonly allowUnused?: boolean | undefined;
}

/** d(outputs)/d(inputs), without touching any `grad`. One result for each input. */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions = {},
): (Tensor | null)[] {
  const {
    gradOutputs = outputs.map(() => null),
    retainGraph = false,
    createGraph = false,
    allowUnused = false,
  } = options;
  const [from, to, weights] = [outputs, inputs, gradOutputs].map((list) => handlesOf("grad", list)) as [
    number[],
    number[],
    number[],
  ];
  const handles = guard("grad", () =>
    native.grad(from, to, weights, retainGraph || createGraph, createGraph, allowUnused),
  );
  return handles.map((handle) => (handle < 0 ? null : new Tensor(handle)));
}

function withGrad<T>(what: string, on: boolean, body: () => T): T {
  const before = native.setGradEnabled(on);
  try {
    return runSync(what, body);
  } finally {
    native.setGradEnabled(before);
  }
}

/** Runs `body` without recording it for gradients. @throws EngineError SCOPE_ASYNC when it returns a promise. */
export function noGrad<T>(body: () => T): T {
  return withGrad("noGrad", false, body);
}

/** Runs `body` with recording on, inside a {@link noGrad}. */
export function enableGrad<T>(body: () => T): T {
  return withGrad("enableGrad", true, body);
}

export function isGradEnabled(): boolean {
  return native.isGradEnabled();
}

/** As {@link noGrad} and faster: what it makes can never take part in recorded operations. */
export function inferenceMode<T>(body: () => T): T {
  native.enterInference();
  try {
    return runSync("inferenceMode", body);
  } finally {
    native.leaveInference();
  }
}
