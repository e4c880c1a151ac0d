import { noGrad } from "../autograd.js";
import { op, tensorOp } from "../door.js";
import { DTYPES, type DType } from "../dtype.js";
import { EngineError } from "../errors.js";
import { keep, scope } from "../scope.js";
import type { Device, Tensor } from "../tensor.js";

const copy_ = op("aten::copy_");
const toCopy = tensorOp("aten::_to_copy");

/** What a module owns beyond any scope: replaced by `to`, freed by `free`. */
abstract class Owned {
  #tensor: Tensor;

  constructor(tensor: Tensor) {
    this.#tensor = keep(tensor);
  }

  get tensor(): Tensor {
    return this.#tensor;
  }

  /** Takes another tensor's place; the one before is freed. */
  set tensor(next: Tensor) {
    if (next === this.#tensor) return;
    this.#tensor.free();
    this.#tensor = keep(next);
  }

  get shape(): number[] {
    return this.#tensor.shape;
  }
}

/** A tensor that an optimiser trains. */
export class Parameter extends Owned {
  constructor(tensor: Tensor, requiresGrad = true) {
    super(tensor);
    tensor.requiresGrad = requiresGrad;
  }

  get grad(): Tensor | null {
    return this.tensor.grad;
  }

  get requiresGrad(): boolean {
    return this.tensor.requiresGrad;
  }

  set requiresGrad(on: boolean) {
    this.tensor.requiresGrad = on;
  }
}

/** State that no optimiser trains, such as running statistics. Not persistent: left out of state dicts. */
export class Buffer extends Owned {
  constructor(
    tensor: Tensor,
    readonly persistent = true,
  ) {
    super(tensor);
  }
}

/** Why entries of a state dict were not used. */
export interface LoadReport {
  readonly loaded: string[];
  /** Names of the module that the dict does not have. */
  readonly missing: string[];
  /** Names of the dict that the module does not have. */
  readonly unexpected: string[];
  /** "name: expected [2, 3], got [3]" */
  readonly misshaped: string[];
}

export type StateDict = ReadonlyMap<string, Tensor>;

function* children(value: unknown, name: string): Generator<[string, Module | Owned]> {
  if (value instanceof Module || value instanceof Owned) yield [name, value];
  else if (Array.isArray(value)) {
    // An array that is named "" numbers its elements without a prefix, as PyTorch's Sequential does.
    for (const [i, element] of value.entries())
      yield* children(element, name === "" ? String(i) : `${name}.${i}`);
  }
}

/**
 * The base of networks. Parameters, buffers and child modules are found where they stand: in fields, and in arrays in
 * fields, by walking them in the order of declaration. A name is the path of fields, `layers.0.weight`; a class whose
 * names must differ from its fields (PyTorch's `running_mean`; "" for none) says so in {@link fieldNames}.
 * `#private` fields are not seen.
 */
export abstract class Module {
  /** Whether layers that differ between training and evaluation train. */
  training = true;

  /** Names in state dicts of fields that are called otherwise. */
  protected fieldNames(): Readonly<Record<string, string>> {
    return {};
  }

  *#members(): Generator<[string, Module | Owned]> {
    const names = this.fieldNames();
    for (const [field, value] of Object.entries(this)) yield* children(value, names[field] ?? field);
  }

  *#owned(prefix: string): Generator<[string, Owned]> {
    for (const [name, member] of this.#members()) {
      if (member instanceof Module) yield* member.#owned(name === "" ? prefix : `${prefix}${name}.`);
      else yield [prefix + name, member];
    }
  }

  *namedModules(prefix = ""): Generator<[string, Module]> {
    yield [prefix, this];
    for (const [name, member] of this.#members()) {
      if (member instanceof Module) yield* member.namedModules([prefix, name].filter(Boolean).join("."));
    }
  }

  *namedParameters(prefix = ""): Generator<[string, Parameter]> {
    for (const [name, member] of this.#owned(prefix)) if (member instanceof Parameter) yield [name, member];
  }

  *namedBuffers(prefix = ""): Generator<[string, Buffer]> {
    for (const [name, member] of this.#owned(prefix)) if (member instanceof Buffer) yield [name, member];
  }

  /** Every parameter once, even one that two layers share. */
  parameters(): Parameter[] {
    return [...new Set([...this.namedParameters()].map(([, parameter]) => parameter))];
  }

  *#persistent(): Generator<[string, Owned]> {
    for (const [name, member] of this.#owned(""))
      if (!(member instanceof Buffer) || member.persistent) yield [name, member];
  }

  /** Parameters and persistent buffers by name: the tensors themselves, not copies. */
  stateDict(): Map<string, Tensor> {
    return new Map([...this.#persistent()].map(([name, member]) => [name, member.tensor]));
  }

  #compare(dict: StateDict): LoadReport & { pairs: [Tensor, Tensor][] } {
    const own = new Map(this.#persistent());
    const pairs: [Tensor, Tensor][] = [];
    const report = {
      loaded: [] as string[],
      missing: [] as string[],
      unexpected: [] as string[],
      misshaped: [] as string[],
    };
    for (const [name, member] of own) {
      const given = dict.get(name);
      if (given === undefined) report.missing.push(name);
      else if (String(given.shape) !== String(member.shape)) {
        report.misshaped.push(
          `${name}: expected [${member.shape.join(", ")}], got [${given.shape.join(", ")}]`,
        );
      } else {
        report.loaded.push(name);
        pairs.push([member.tensor, given]);
      }
    }
    for (const name of dict.keys()) if (!own.has(name)) report.unexpected.push(name);
    return { ...report, pairs };
  }

  /**
   * Copies a state dict's values in, converting dtype and device.
   * @throws EngineError STATE_MISMATCH naming all missing, unexpected and misshaped entries; nothing is changed then.
   */
  loadStateDict(dict: StateDict): void {
    const { pairs, missing, unexpected, misshaped } = this.#compare(dict);
    const problems = [
      ...missing.map((name) => `missing: ${name}`),
      ...unexpected.map((name) => `unexpected: ${name}`),
      ...misshaped.map((line) => `misshaped: ${line}`),
    ];
    if (problems.length > 0) {
      throw new EngineError(
        "STATE_MISMATCH",
        `the state dict does not fit ${this.constructor.name}:\n  ${problems.join("\n  ")}\nloadPartial() loads what fits.`,
      );
    }
    copyAll(pairs);
  }

  /** Copies in what fits and says what did not. */
  loadPartial(dict: StateDict): LoadReport {
    const { pairs, ...report } = this.#compare(dict);
    copyAll(pairs);
    return report;
  }

  /** Switches this module and all below it to training (or, with false, to evaluation). */
  train(on = true): this {
    for (const [, module] of this.namedModules()) module.training = on;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Stops gradients of every parameter. */
  freeze(): this {
    for (const parameter of this.parameters()) parameter.requiresGrad = false;
    return this;
  }

  unfreeze(): this {
    for (const parameter of this.parameters()) parameter.requiresGrad = true;
    return this;
  }

  /** Moves parameters and buffers; `dtype` changes the floating-point ones. Gradients are dropped. */
  to(options: { readonly dtype?: DType; readonly device?: Device }): this {
    const seen = new Set<Owned>();
    for (const [, member] of this.#owned("")) {
      if (seen.has(member)) continue;
      seen.add(member);
      const { tensor } = member;
      const dtype = options.dtype !== undefined && DTYPES[tensor.dtype].float ? options.dtype : tensor.dtype;
      const device = options.device ?? tensor.device;
      if (dtype === tensor.dtype && device === tensor.device) continue;
      const trained = tensor.requiresGrad;
      const moved = noGrad(() => toCopy(tensor, { dtype, device }));
      member.tensor = moved;
      if (trained) moved.requiresGrad = true;
    }
    return this;
  }

  /** Drops the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.tensor.grad = null;
  }

  /** Calls `visit` with this module and all below it. */
  apply(visit: (module: Module) => void): this {
    for (const [, module] of this.namedModules()) visit(module);
    return this;
  }

  /** Frees every parameter and buffer; the module is of no use afterwards. */
  free(): void {
    for (const [, member] of this.#owned("")) member.tensor.free();
  }
}

function copyAll(pairs: readonly [Tensor, Tensor][]): void {
  noGrad(() => scope(() => pairs.forEach(([own, given]) => void copy_(own, given))));
}
