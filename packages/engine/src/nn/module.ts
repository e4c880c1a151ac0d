import { noGrad } from "../autograd.js";
import { op, tensorOp } from "../door.js";
import { DTYPES, type DType } from "../dtype.js";
import { check, EngineError } from "../errors.js";
import { keep, scope } from "../scope.js";
import { type Device, Tensor } from "../tensor.js";

const copy_ = op("aten::copy_");
const zero_ = op("aten::zero_");
const toCopy = tensorOp("aten::_to_copy");

/** What a module owns beyond any scope: replaced by `to`, freed by `free`. */
abstract class Owned {
  #tensor: Tensor;

  constructor(tensor: Tensor) {
    check(
      tensor instanceof Tensor,
      () => `${new.target.name}: expected a Tensor, got ${tensor === null ? "null" : typeof tensor}`,
    );
    this.#tensor = keep(tensor);
  }

  get tensor(): Tensor {
    return this.#tensor;
  }

  /** Takes another tensor's place; the one before is freed. Whether it requires gradients is its own affair. */
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
  /** @throws EngineError BAD_ARGUMENT for the result of a recorded operation: gradients would not stop at it. */
  constructor(tensor: Tensor, requiresGrad = true) {
    super(tensor);
    check(
      tensor.isLeaf,
      () => "Parameter: expected a leaf, got the result of a recorded operation; detach() it first",
    );
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
  /** "name: expected [2, 3], got [3]"; also for values that are no tensors. */
  readonly misshaped: string[];
}

export type StateDict = ReadonlyMap<string, Tensor>;

/** What a value is, for messages. */
function kindOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return value.constructor === Object ? "a plain object" : (value.constructor?.name ?? "an object");
}

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
  #switching = false;

  /** Names in state dicts of fields that are called otherwise. */
  protected fieldNames(): Readonly<Record<string, string>> {
    return {};
  }

  *#members(): Generator<[string, Module | Owned]> {
    const names = this.fieldNames();
    for (const [field, value] of Object.entries(this)) yield* children(value, names[field] ?? field);
  }

  *#owned(prefix: string, above: readonly Module[] = []): Generator<[string, Owned]> {
    check(
      !above.includes(this),
      () =>
        `${this.constructor.name}: ${prefix.slice(0, -1)} is a module above it; keep such references in #private fields`,
    );
    const path = [...above, this];
    for (const [name, member] of this.#members()) {
      if (member instanceof Module) yield* member.#owned(name === "" ? prefix : `${prefix}${name}.`, path);
      else yield [prefix + name, member];
    }
  }

  /** This module and all below it, each once, under the first of its names. */
  *namedModules(prefix = "", seen = new Set<Module>()): Generator<[string, Module]> {
    if (seen.has(this)) return;
    seen.add(this);
    yield [prefix, this];
    for (const [name, member] of this.#members()) {
      if (member instanceof Module)
        yield* member.namedModules([prefix, name].filter(Boolean).join("."), seen);
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
    check(
      typeof dict?.get === "function" && typeof dict.keys === "function",
      () => `${this.constructor.name}: expected a state dict, a Map of tensors by name, got ${kindOf(dict)}`,
    );
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
      else if (!(given instanceof Tensor) || String(given.shape) !== String(member.shape)) {
        const got = given instanceof Tensor ? `[${given.shape.join(", ")}]` : kindOf(given);
        report.misshaped.push(`${name}: expected [${member.shape.join(", ")}], got ${got}`);
      } else {
        report.loaded.push(name);
        pairs.push([member.tensor, given]);
      }
    }
    for (const name of dict.keys()) if (!own.has(name)) report.unexpected.push(name);
    return { ...report, pairs };
  }

  /**
   * Copies a state dict's values in, converting dtype and device. With `strict: false` missing and unexpected entries
   * are passed over; misshaped ones never are.
   * @throws EngineError STATE_MISMATCH naming all missing, unexpected and misshaped entries; nothing is changed then.
   */
  loadStateDict(dict: StateDict, options: { readonly strict?: boolean | undefined } = {}): void {
    const { strict = true } = options;
    const { pairs, missing, unexpected, misshaped } = this.#compare(dict);
    const problems = [
      ...(strict ? missing : []).map((name) => `missing: ${name}`),
      ...(strict ? unexpected : []).map((name) => `unexpected: ${name}`),
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

  /** Switches this module and, through their own train(), all below it to training (or, with false, to evaluation). */
  train(on = true): this {
    check(
      !this.#switching,
      () =>
        `${this.constructor.name}.train: the module is below itself; keep such references in #private fields`,
    );
    this.training = on;
    this.#switching = true;
    try {
      for (const [, member] of this.#members()) if (member instanceof Module) member.train(on);
    } finally {
      this.#switching = false;
    }
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

  /**
   * Moves parameters and buffers with their gradients; `dtype` changes the floating-point ones.
   * @throws EngineError BAD_ARGUMENT for a dtype of whole numbers.
   */
  to(options: { readonly dtype?: DType | undefined; readonly device?: Device | undefined }): this {
    const { dtype, device } = options;
    check(
      dtype === undefined || DTYPES[dtype]?.float === true,
      () => `${this.constructor.name}.to: expected a floating-point dtype, got ${dtype}`,
    );
    for (const member of new Set([...this.#owned("")].map(([, owned]) => owned))) move(member, dtype, device);
    return this;
  }

  /** Drops the gradients of all parameters, or with `setToNull: false` fills those that exist with zeros. */
  zeroGrad(options: { readonly setToNull?: boolean | undefined } = {}): void {
    const tensors = this.parameters().map((parameter) => parameter.tensor);
    if (options.setToNull === false) zeroGradients(tensors);
    else for (const tensor of tensors) tensor.grad = null;
  }

  /** Calls `visit` once with every module below this one and last with this one: children before their parents. */
  apply(visit: (module: Module) => void): this {
    this.#visit(visit, new Set());
    return this;
  }

  #visit(visit: (module: Module) => void, seen: Set<Module>): void {
    if (seen.has(this)) return;
    seen.add(this);
    for (const [, member] of this.#members()) if (member instanceof Module) member.#visit(visit, seen);
    visit(this);
  }

  /** Frees every parameter and buffer; the module is of no use afterwards. */
  free(): void {
    for (const [, member] of this.#owned("")) member.tensor.free();
  }
}

function move(member: Owned, dtype: DType | undefined, device: Device | undefined): void {
  scope(() => {
    const { tensor } = member;
    const target = {
      // A complex dtype has no entry: it stays as whole numbers do.
      dtype: dtype !== undefined && DTYPES[tensor.dtype]?.float ? dtype : tensor.dtype,
      device: device ?? tensor.device,
    };
    if (target.dtype === tensor.dtype && target.device === tensor.device) return;
    const [trained, gradient] = [tensor.requiresGrad, tensor.grad];
    const moved = noGrad(() => toCopy(tensor, target));
    if (trained) moved.requiresGrad = true;
    if (gradient !== null) moved.grad = noGrad(() => toCopy(gradient, target));
    member.tensor = moved;
  });
}

/** Fills the gradients that exist with zeros. */
export function zeroGradients(tensors: readonly Tensor[]): void {
  noGrad(() =>
    scope(() => {
      for (const { grad } of tensors) if (grad !== null) zero_(grad);
    }),
  );
}

function copyAll(pairs: readonly [Tensor, Tensor][]): void {
  noGrad(() => scope(() => pairs.forEach(([own, given]) => void copy_(own, given))));
}
