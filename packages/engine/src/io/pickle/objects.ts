/** A class or function that a pickle names. Inert: a name, nothing that could be called. */
export class PickledGlobal {
  constructor(
    /** As Python writes it: "torch.nn.modules.linear". */
    readonly module: string,
    readonly name: string,
  ) {}

  toString(): string {
    return `${this.module}.${this.name}`;
  }
}

/**
 * An object of a class that this reader does not build: what the file says it is made of. Nothing of it was executed.
 * Only with `unknown: "ignore"`.
 */
export class PickledObject {
  /** What the object was told after it was made, mostly a Map of its attributes. */
  state: unknown = undefined;
  /** What was appended or put in, for classes that are lists (elements), dicts ([key, value]) or sets (elements). */
  readonly items: unknown[] = [];

  constructor(
    readonly module: string,
    readonly name: string,
    /** Arguments of the class or function. */
    readonly args: readonly unknown[],
  ) {}

  toString(): string {
    return `${this.module}.${this.name}(...)`;
  }
}

const longestQuote = 100;

/** Text of a file for messages: cut when long, control characters escaped. */
export function quoted(text: string): string {
  return `${JSON.stringify(text.slice(0, longestQuote))}${text.length > longestQuote ? "..." : ""}`;
}

/** A value that says what it is. */
export interface Described {
  describe(): string;
}

function isDescribed(value: object): value is Described {
  return "describe" in value && typeof value.describe === "function";
}

/** What a value of a pickle is, for messages. */
export function kindOf(value: unknown): string {
  if (value === null) return "None";
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list or tuple of ${value.length}`;
  if (value instanceof Map) return `a dict of ${value.size}`;
  if (value instanceof Set) return `a set of ${value.size}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof PickledGlobal || value instanceof PickledObject) return quoted(String(value));
  if (typeof value === "object") return isDescribed(value) ? value.describe() : value.constructor.name;
  return `${typeof value} ${typeof value === "string" ? quoted(value) : String(value).slice(0, longestQuote)}`;
}
