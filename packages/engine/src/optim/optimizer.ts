import { noGrad } from "../autograd.js";
import { tensorOp } from "../door.js";
import { EngineError } from "../errors.js";
import { type Parameter, zeroGradients } from "../nn/module.js";
import { keep, scope } from "../scope.js";
import type { Tensor } from "../tensor.js";

/** Parameters that train with options of their own. */
export interface ParamGroup<O> {
  readonly params: readonly Parameter[];
  readonly options?: Partial<O> | undefined;
}

/** A group with every option filled in; a schedule may change `options.lr`. */
export interface FilledGroup<O> {
  readonly params: readonly Parameter[];
  options: O;
}

/** What an optimiser must remember to go on: numbers of its groups, and tensors by "parameter index.name". */
export interface OptimizerState<O> {
  readonly groups: readonly O[];
  readonly tensors: ReadonlyMap<string, Tensor>;
}

const partElements = 2 ** 18; // 1 MiB of float32: what an update makes on its way then stays in the CPU's cache

/** Parameters to update in one call each: on the CPU a cache's worth, elsewhere all, for fewer kernel launches. */
function inParts(params: readonly Parameter[]): Parameter[][] {
  const parts: Parameter[][] = [];
  let room = 0;
  for (const parameter of params) {
    const { numel, device } = parameter.tensor;
    if (room <= 0 || parts.length === 0) {
      parts.push([]);
      room = partElements;
    }
    parts.at(-1)?.push(parameter);
    if (device === "cpu") room -= numel;
  }
  return parts;
}

/** The part that all optimisers share: groups, per-parameter state, saving and loading. */
export abstract class Optimizer<O extends { lr: number }> {
  readonly groups: FilledGroup<O>[];
  /** State tensors by parameter, kept outside all scopes. */
  protected readonly state = new Map<Parameter, Record<string, Tensor>>();

  protected constructor(params: readonly Parameter[] | readonly ParamGroup<O>[], defaults: O) {
    const groups = isGroups<O>(params) ? params : [{ params }];
    this.groups = groups.map(({ params: members, options }) => ({
      params: members,
      options: { ...defaults, ...options },
    }));
    const all = this.groups.flatMap((group) => group.params);
    if (all.length === 0)
      throw new EngineError("BAD_ARGUMENT", `${this.constructor.name}: expected parameters, got none`);
    if (new Set(all).size !== all.length) {
      throw new EngineError(
        "BAD_ARGUMENT",
        `${this.constructor.name}: a parameter appears twice in the groups`,
      );
    }
  }

  /** Updates every parameter that has a gradient. */
  step(): void {
    noGrad(() =>
      scope(() => {
        for (const group of this.groups) {
          const active = group.params.filter((parameter) => parameter.tensor.grad !== null);
          for (const part of inParts(active)) {
            const grads = part.map((parameter) => parameter.tensor.grad as Tensor);
            scope(() => this.update(part, grads, group.options));
          }
        }
      }),
    );
  }

  protected abstract update(params: readonly Parameter[], grads: readonly Tensor[], options: O): void;

  /** Drops the gradients of all parameters, or with `setToNull: false` fills those that exist with zeros. */
  zeroGrad(options: { readonly setToNull?: boolean | undefined } = {}): void {
    const tensors = this.groups.flatMap((group) => group.params.map((parameter) => parameter.tensor));
    if (options.setToNull === false) zeroGradients(tensors);
    else for (const tensor of tensors) tensor.grad = null;
  }

  /** Frees the state; the parameters are their module's. */
  free(): void {
    for (const held of this.state.values()) for (const tensor of Object.values(held)) tensor.free();
    this.state.clear();
  }

  /** A parameter's state tensor of that name, made by `make` when there is none yet. */
  protected remember(parameter: Parameter, name: string, make: () => Tensor): Tensor {
    const entries = this.state.get(parameter) ?? {};
    this.state.set(parameter, entries);
    entries[name] ??= keep(make());
    return entries[name];
  }

  stateDict(): OptimizerState<O> {
    const tensors = new Map<string, Tensor>();
    const all = this.groups.flatMap((group) => group.params);
    for (const [i, parameter] of all.entries()) {
      for (const [name, tensor] of Object.entries(this.state.get(parameter) ?? {}))
        tensors.set(`${i}.${name}`, tensor);
    }
    return { groups: this.groups.map(({ options }) => ({ ...options })), tensors };
  }

  /**
   * Goes on from a saved state; the tensors are copied.
   * @throws EngineError STATE_MISMATCH when the groups or the parameters are others.
   */
  loadStateDict(saved: OptimizerState<O>): void {
    const all = this.groups.flatMap((group) => group.params);
    if (saved.groups.length !== this.groups.length) {
      throw new EngineError(
        "STATE_MISMATCH",
        `expected ${this.groups.length} parameter groups, got ${saved.groups.length}`,
      );
    }
    const entries = [...saved.tensors].map(([key, tensor]) => {
      const [index, name] = key.split(".", 2) as [string, string | undefined];
      const parameter = all[Number(index)];
      if (parameter === undefined || name === undefined) {
        throw new EngineError(
          "STATE_MISMATCH",
          `optimiser state "${key}" belongs to no parameter (there are ${all.length})`,
        );
      }
      if (name !== "step" && String(tensor.shape) !== String(parameter.shape)) {
        throw new EngineError(
          "STATE_MISMATCH",
          `optimiser state "${key}": expected [${parameter.shape}], got [${tensor.shape}]`,
        );
      }
      return { parameter, name, tensor };
    });
    // Copies first: what is loaded may be this optimiser's own state.
    const copies = entries.map((entry) => ({ ...entry, copy: copyFor(entry) }));
    for (const held of this.state.values()) for (const tensor of Object.values(held)) tensor.free();
    this.state.clear();
    for (const { parameter, name, copy } of copies) this.remember(parameter, name, () => copy);
    for (const [i, options] of saved.groups.entries())
      (this.groups[i] as FilledGroup<O>).options = { ...options };
  }
}

const copyOf = tensorOp("aten::_to_copy");

interface StateEntry {
  readonly parameter: Parameter;
  readonly name: string;
  readonly tensor: Tensor;
}

function copyFor({ parameter, name, tensor }: StateEntry): Tensor {
  const { dtype, device } = name === "step" ? { dtype: "float64", device: "cpu" } : parameter.tensor;
  return noGrad(() => copyOf(tensor, { dtype, device }));
}

function isGroups<O>(
  params: readonly Parameter[] | readonly ParamGroup<O>[],
): params is readonly ParamGroup<O>[] {
  const [first] = params;
  return first !== undefined && "params" in first;
}
