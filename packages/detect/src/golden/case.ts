import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { EngineError, io, type Tensor, tensorOp } from "@sepc/engine";

const sub = tensorOp("aten::sub.Tensor");
const abs = tensorOp("aten::abs");
const largest = tensorOp("aten::max");
const equal = tensorOp("aten::eq.Tensor");
const every = tensorOp("aten::all");

interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** One entry of a folder's manifest.json. */
export interface CaseEntry {
  readonly name: string;
  readonly file: string;
  readonly kind: string;
  readonly hyper_parameters: Readonly<Record<string, unknown>>;
  readonly tolerances: Readonly<Record<string, Tolerance | string>>;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function checkEntry(entry: unknown, place: number): CaseEntry {
  if (!isObject(entry)) throw new Error(`cases[${place}]: expected an object, got ${JSON.stringify(entry)}`);
  const fault = (key: string, expected: string): Error =>
    new Error(`cases[${place}].${key}: expected ${expected}, got ${JSON.stringify(entry[key])}`);
  for (const key of ["name", "file", "kind"]) if (typeof entry[key] !== "string") throw fault(key, "a text");
  for (const key of ["hyper_parameters", "tolerances"])
    if (!isObject(entry[key])) throw fault(key, "an object");
  return entry as unknown as CaseEntry;
}

/** @throws EngineError FILE when the folder has no manifest of the format. */
export function readManifest(folder: string): readonly CaseEntry[] {
  const path = join(folder, "manifest.json");
  try {
    const manifest: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (!isObject(manifest) || !Array.isArray(manifest.cases)) throw new Error('expected a list "cases"');
    return manifest.cases.map(checkEntry);
  } catch (cause) {
    throw new EngineError("FILE", `${path}: ${(cause as Error).message}`, { cause });
  }
}

/** A variant of a known kind that cannot be replayed yet. */
export class NotKnown extends Error {}

/**
 * Refuses a setting that would change the results and that the replay does not follow.
 * @throws NotKnown
 */
export function only(settings: object, name: string, ...known: readonly unknown[]): void {
  const value = (settings as Readonly<Record<string, unknown>>)[name];
  if (value === undefined || value === null || known.some((one) => isDeepStrictEqual(one, value))) return;
  throw new NotKnown(`${name} ${JSON.stringify(value)}`);
}

/** A case's tensors, and the comparison of results with them. */
export class Case {
  readonly #tensors: ReadonlyMap<string, Tensor>;
  /** Largest difference of each result, as a share of what is allowed. */
  readonly shares = new Map<string, number>();

  constructor(
    folder: string,
    readonly entry: CaseEntry,
  ) {
    this.#tensors = io.readSafetensors(join(folder, entry.file)).tensors;
  }

  /** A hyper-parameter; `fallback` where it is absent or null. */
  setting<T>(name: string, fallback?: T): T {
    return (this.entry.hyper_parameters[name] ?? fallback) as T;
  }

  /** A hyper-parameter that must be a number; `fallback` where it may be absent. */
  number(name: string, fallback?: number): number {
    const value = this.setting<unknown>(name, fallback);
    if (typeof value !== "number")
      throw new Error(`hyper-parameter ${name}: expected a number, got ${JSON.stringify(value)}`);
    return value;
  }

  flag(name: string, fallback = false): boolean {
    return Boolean(this.setting<unknown>(name, fallback));
  }

  text(name: string): string {
    return String(this.setting<unknown>(name, ""));
  }

  /** Height and width of each level's map, finest first. */
  get sizes(): readonly (readonly [number, number])[] {
    const sizes = this.setting<unknown>("sizes");
    if (!Array.isArray(sizes) || !sizes.every((size) => Array.isArray(size) && size.length === 2))
      throw new Error(`hyper-parameter sizes: expected pairs of numbers, got ${JSON.stringify(sizes)}`);
    return sizes as [number, number][];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  tensor(name: string): Tensor {
    const found = this.#tensors.get(name);
    if (found === undefined) throw new Error(`the case has no tensor ${name}`);
    return found;
  }

  /** Names that start with `prefix`, without it. */
  names(prefix: string): string[] {
    return [...this.#tensors.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
  }

  /** An input that takes part in the gradients. */
  leaf(name: string): Tensor {
    const input = this.tensor(name);
    input.requiresGrad = true;
    return input;
  }

  /** Parameters under other names. */
  state(rename: (official: string) => string | null = (name) => name): Map<string, Tensor> {
    return new Map(
      this.names("param/").map((name) => {
        const ours = rename(name);
        if (ours === null) throw new Error(`no name of ours for parameter ${name}`);
        return [ours, this.tensor(`param/${name}`)] as const;
      }),
    );
  }

  /**
   * Compares a result that the case holds: max|t − r| ≤ atol + rtol·max|r| for floats, equality for integers. One that
   * it does not hold is passed over; those that it holds and nobody compared are {@link missed}.
   */
  expect(name: string, result: Tensor | null): void {
    if (!this.has(name)) return;
    const reference = this.tensor(name);
    if (result === null) throw new Error(`${name}: nothing was computed`);
    if (String(result.shape) !== String(reference.shape)) {
      throw new Error(`${name}: expected shape [${reference.shape}], got [${result.shape}]`);
    }
    if (reference.numel === 0) return void this.shares.set(name, 0);
    if (reference.dtype === "int64") {
      return void this.shares.set(
        name,
        every(equal(result, reference)).item() ? 0 : Number.POSITIVE_INFINITY,
      );
    }
    const { rtol, atol } = this.#toleranceOf(name);
    const difference = largest(abs(sub(result, reference))).item();
    const share = difference / (atol + rtol * largest(abs(reference)).item());
    this.shares.set(name, Number.isNaN(share) ? Number.POSITIVE_INFINITY : share);
  }

  #toleranceOf(name: string): Tolerance {
    const tolerance = this.entry.tolerances[name.split("/")[0] as string];
    if (typeof tolerance !== "object") throw new Error(`${name}: the manifest has no tolerance for it`);
    return tolerance;
  }

  /** Results that the case has and nobody compared. */
  missed(): string[] {
    return ["out/", "grad/", "after/"].flatMap((prefix) =>
      this.names(prefix)
        .map((name) => prefix + name)
        .filter((name) => !this.shares.has(name)),
    );
  }
}
