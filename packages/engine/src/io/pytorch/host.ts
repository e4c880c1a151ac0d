import { EngineError } from "../../errors.js";
import type { PickleHost, PickleMachine } from "../pickle/machine.js";
import { kindOf, PickledGlobal, PickledObject, quoted } from "../pickle/objects.js";
import {
  type Builder,
  buildArray,
  buildDType,
  canonical,
  isSize,
  NumpyArray,
  NumpyDType,
  pythonBuilders,
  pythonClasses,
  Unsupported,
} from "../pickle/python.js";
import { torchBuilders, torchClasses, torchConstants } from "./builders.js";
import { type ElementType, elementsOfStorage, PickledStorage, StorageSpan } from "./storages.js";
import { PickledVariable } from "./variables.js";

/** What to do with classes and functions that no checkpoint needs, and with tensors that cannot be read. */
export type UnknownPolicy = "refuse" | "ignore";

export const ignoreHint = 'unknown: "ignore" puts an inert object in its place';

function builderOf(fullName: string): Builder | undefined {
  return torchBuilders.get(fullName) ?? pythonBuilders.get(fullName);
}

function isClass(fullName: string): boolean {
  return pythonClasses.has(fullName) || torchClasses.has(fullName);
}

/** Makes what checkpoints are made of, by a fixed list of names; nothing that a pickle names is ever executed. */
export class CheckpointHost implements PickleHost {
  /** Every storage that the pickle refers to, by key. */
  readonly storages = new Map<string, PickledStorage>();

  constructor(
    readonly file: string,
    readonly unknown: UnknownPolicy,
  ) {}

  global(module: string, name: string): unknown {
    const full = canonical(module, name);
    if (torchConstants.has(full)) return name;
    const known = builderOf(full) !== undefined || isClass(full) || elementsOfStorage(module, name);
    if (known || this.unknown === "ignore") return new PickledGlobal(module, name);
    throw new EngineError(
      "PYTORCH_UNSAFE",
      `${this.file}: expected tensors and plain values, got ${quoted(`${module}.${name}`)}, a class or ` +
        `function that is not built here and could be anything; ${ignoreHint}`,
    );
  }

  call(callable: unknown, args: readonly unknown[], m: PickleMachine): unknown {
    if (!(callable instanceof PickledGlobal))
      m.fail(`calls ${kindOf(callable)}, which is no class or function`);
    const { module, name } = callable;
    const build = builderOf(canonical(module, name));
    try {
      if (build !== undefined) return build(args, m);
      throw new Unsupported(`objects of ${kindOf(callable)}`);
    } catch (cause) {
      if (!(cause instanceof Unsupported)) throw cause;
      return this.#skip(cause, new PickledObject(module, name, args), m);
    }
  }

  #skip<T>(reason: Unsupported, instead: T, m: PickleMachine): T {
    if (this.unknown === "ignore") return instead;
    return m.fail(`${reason.message} cannot be read; ${ignoreHint}`);
  }

  build(value: unknown, state: unknown, m: PickleMachine): void {
    if (value instanceof NumpyDType) buildDType(value, state, m);
    else if (value instanceof NumpyArray) this.#fill(value, state, m);
    else if (value instanceof PickledVariable) value.setState(state, m);
    else if (value instanceof PickledObject) value.state = state;
    // Attributes of a dict, as the `_metadata` of a state dict, have no place in a Map.
    else if (!(value instanceof Map)) m.fail(`sets the state of ${kindOf(value)}`);
  }

  #fill(array: NumpyArray, state: unknown, m: PickleMachine): void {
    try {
      buildArray(array, state, m);
    } catch (cause) {
      if (!(cause instanceof Unsupported)) throw cause;
      const instead = new PickledObject("numpy", "ndarray", []);
      instead.state = state;
      array.unsupported = this.#skip(cause, instead, m);
    }
  }

  /** ("storage", class, key, location, numel), in older files with (key, offset, numel) of a view. */
  persistent(id: unknown, m: PickleMachine): unknown {
    if (!Array.isArray(id)) return m.fail(`expected the reference of a storage, got ${kindOf(id)}`);
    if (id[0] === "module" && id.length === 4) return id[1]; // (.., class, its source file, its source)
    const [kind, type, key, , numel, view] = id;
    if (kind !== "storage" || id.length < 5 || id.length > 6)
      m.fail(`expected the reference of a storage, got ${kindOf(id)}`);
    const elements = type instanceof PickledGlobal ? elementsOfStorage(type.module, type.name) : undefined;
    if (elements === undefined) m.fail(`expected the class of a storage, got ${kindOf(type)}`);
    if (typeof key !== "string" || !isSize(numel) || !Number.isSafeInteger(numel * elements.bytes))
      m.fail(`expected a storage's key and number of elements, got ${kindOf(key)} and ${kindOf(numel)}`);
    const storage = this.#storage(key, elements, numel, m);
    return view === undefined || view === null
      ? new StorageSpan(storage, 0, numel)
      : this.#viewOf(storage, view, m);
  }

  #storage(key: string, elements: ElementType, numel: number, m: PickleMachine): PickledStorage {
    const known = this.storages.get(key);
    if (known === undefined) {
      const made = new PickledStorage(key, elements, numel);
      this.storages.set(key, made);
      return made;
    }
    if (known.elements !== elements || known.numel !== numel) {
      m.fail(
        `storage ${quoted(key)}: expected ${known.numel} ${known.elements.name} as before, ` +
          `got ${numel} ${elements.name}`,
      );
    }
    return known;
  }

  #viewOf(storage: PickledStorage, view: unknown, m: PickleMachine): StorageSpan {
    const [, first, numel] = Array.isArray(view) && view.length === 3 ? view : [];
    if (!isSize(first) || !isSize(numel) || first + numel > storage.numel)
      m.fail(`storage ${quoted(storage.key)}: expected a view inside its ${storage.numel} elements`);
    return new StorageSpan(storage, first, numel);
  }
}
