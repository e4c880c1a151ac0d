import { noGrad } from "../autograd.js";
import { tensorOp } from "../door.js";
import { check, EngineError } from "../errors.js";
import { Parameter, zeroGradients } from "../nn/module.js";
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
  /** The tensor that each parameter's state was made for. */
  readonly #madeFor = new Map<Parameter, Tensor>();

  /**
   * `defaults` has every option; `options`, and those of groups, replace some.
   * @throws EngineError BAD_ARGUMENT for options that are not among the defaults, and for no parameters or one twice.
   */
  protected constructor(
    params: readonly Parameter[] | readonly ParamGroup<O>[],
    defaults: O,
    options: Partial<O> = {},
  ) {
    const { name } = this.constructor;
    check(Array.isArray(params), () => `${name}: expected an array of parameters or groups`);
    const groups = isGroups<O>(params) ? params : [{ params }];
    const common = filled(name, defaults, options);
    this.groups = groups.map((group) => ({
      params: group.params,
      options: filled(name, common, group.options ?? {}),
    }));
    const all = this.groups.flatMap((group) => group.params);
    check(
      all.every((parameter) => parameter instanceof Parameter),
      () => `${name}: expected parameters (nn.Parameter), as parameters() of a module gives them`,
    );
    if (all.length === 0) throw new EngineError("BAD_ARGUMENT", `${name}: expected parameters, got none`);
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
            for (const parameter of part) this.#follow(parameter);
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
    this.#madeFor.clear();
  }

  /** A parameter's state tensor of that name, made by `make` when there is none yet. */
  protected remember(parameter: Parameter, name: string, make: () => Tensor): Tensor {
    const entries = this.state.get(parameter) ?? {};
    this.state.set(parameter, entries);
    this.#madeFor.set(parameter, parameter.tensor);
    entries[name] ??= keep(make());
    return entries[name];
  }

  /** Takes the state of a parameter that {@link Module.to} moved to its dtype and device. */
  #follow(parameter: Parameter): void {
    const entries = this.state.get(parameter);
    if (entries === undefined || this.#madeFor.get(parameter) === parameter.tensor) return;
    for (const [name, tensor] of Object.entries(entries)) {
      entries[name] = keep(copyFor({ parameter, name, tensor }));
      tensor.free();
    }
    this.#madeFor.set(parameter, parameter.tensor);
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
   * @throws EngineError STATE_MISMATCH when the groups, their options or the parameters are others; nothing is changed then.
   */
  loadStateDict(saved: OptimizerState<O>): void {
    const all = this.groups.flatMap((group) => group.params);
    if (!Array.isArray(saved?.groups) || !(saved.tensors instanceof Map)) {
      throw new EngineError(
        "STATE_MISMATCH",
        `${this.constructor.name}: expected a state of stateDict(), { groups: [...], tensors: Map }`,
      );
    }
    if (saved.groups.length !== this.groups.length) {
      throw new EngineError(
        "STATE_MISMATCH",
        `expected ${this.groups.length} parameter groups, got ${saved.groups.length}`,
      );
    }
    for (const [i, options] of saved.groups.entries()) {
      const [expected, got] = [this.groups[i]?.options, options].map((o) => Object.keys(o ?? {}).sort());
      if (String(expected) !== String(got)) {
        throw new EngineError(
          "STATE_MISMATCH",
          `${this.constructor.name}: expected a state with the options ${expected?.join(", ")}, got ${got?.join(", ")}`,
        );
      }
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

/** Replaces some of the options; `undefined` leaves one as it was. */
function filled<O extends object>(optimizer: string, before: O, changes: Partial<O>): O {
  const result = { ...before };
  for (const [name, value] of Object.entries(changes)) {
    check(
      Object.hasOwn(before, name),
      () => `${optimizer}: no option "${name}"; it has: ${Object.keys(before).join(", ")}`,
    );
    if (value !== undefined) result[name as keyof O] = value as O[keyof O];
  }
  return result;
}

function isGroups<O>(
  params: readonly Parameter[] | readonly ParamGroup<O>[],
): params is readonly ParamGroup<O>[] {
  const [first] = params;
  return typeof first === "object" && first !== null && "params" in first;
}
