// Tensors and parameters as files of PyTorch before 0.4 hold them: an object of the class, which may get its contents
// afterwards (torch/_tensor.py, Tensor.__setstate__, still reads those).
import type { PickleMachine } from "../pickle/machine.js";
import { type Described, kindOf } from "../pickle/objects.js";
import type { Builder } from "../pickle/python.js";
import { PickledTensor } from "./storages.js";

/** Makes a tensor of (storage, offset, size, stride). */
export type MakeTensor = (args: readonly unknown[], machine: PickleMachine) => PickledTensor;

export class PickledVariable implements Described {
  /** Undefined until the state has come. */
  tensor: PickledTensor | undefined = undefined;
  /** What the tensor is to require when its data come without saying. */
  requiresGrad: boolean;

  constructor(
    readonly make: MakeTensor,
    requiresGrad: boolean,
  ) {
    this.requiresGrad = requiresGrad;
  }

  describe(): string {
    return this.tensor?.describe() ?? "a tensor without contents";
  }

  hold(data: unknown, requiresGrad: boolean, m: PickleMachine): void {
    const tensor = data instanceof PickledVariable ? data.tensor : data;
    if (!(tensor instanceof PickledTensor)) m.fail(`variable: expected a tensor, got ${kindOf(data)}`);
    this.requiresGrad = requiresGrad;
    this.tensor = tensor.withRequiresGrad(requiresGrad);
  }

  /** (storage, offset, size, stride), (data, gradient, hooks, requires_grad, volatile) or (requires_grad, volatile, hooks). */
  setState(state: unknown, m: PickleMachine): void {
    if (!Array.isArray(state) || state.length < 3 || state.length > 5)
      m.fail(`variable: expected a state of 3 to 5 values, got ${kindOf(state)}`);
    if (state.length === 4) this.hold(this.make(state, m), this.requiresGrad, m);
    else if (state.length === 5) this.hold(state[0], state[3] === true, m);
    else this.hold(this.tensor, state[0] === true, m);
  }
}

/** Called with nothing, (data), (data, requires_grad) or (storage, offset, size, stride). */
const variable =
  (make: MakeTensor, byDefault: boolean): Builder =>
  (args, m) => {
    const made = new PickledVariable(make, byDefault);
    const [data, requiresGrad = byDefault] = args;
    if (args.length === 4) made.hold(make(args, m), byDefault, m);
    else if (args.length > 0) made.hold(data, requiresGrad === true, m);
    return made;
  };

const elementNames = ["Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"];

/** By full name of the class. */
export function variableBuilders(make: MakeTensor): [string, Builder][] {
  const classes = elementNames.flatMap((name) => [`torch.${name}Tensor`, `torch.cuda.${name}Tensor`]);
  return [
    ["torch.nn.parameter.Parameter", variable(make, true)],
    ["torch.autograd.variable.Variable", variable(make, false)],
    ...["torch.Tensor", "torch._tensor.Tensor", ...classes].map((name): [string, Builder] => [
      name,
      variable(make, false),
    ]),
  ];
}
