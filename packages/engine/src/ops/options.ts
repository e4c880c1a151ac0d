import { EngineError } from "../errors.js";
import { Tensor } from "../tensor.js";

function describe(value: unknown): string {
  if (value instanceof Tensor) return "a Tensor";
  if (Array.isArray(value)) return "an array";
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/**
 * Reads a function's options: those left out take their defaults. Anything but an object, and names that the function
 * does not know, are errors, so that a misspelled option is never silently without effect.
 */
export function optionsOf<D extends object>(name: string, defaults: D): (given: Partial<D> | undefined) => D {
  const plain = Object.freeze(defaults);
  return (given) => {
    if (given === undefined) return plain;
    const read: D = { ...plain };
    if (typeof given !== "object" || given === null || Array.isArray(given) || given instanceof Tensor) {
      const known = Object.keys(plain).join(", ");
      throw new EngineError("BAD_ARGUMENT", `${name}: expected options { ${known} }, got ${describe(given)}`);
    }
    for (const key of Object.keys(given) as (keyof D & string)[]) {
      if (!Object.hasOwn(plain, key)) {
        const known = Object.keys(plain).join(", ");
        throw new EngineError("BAD_ARGUMENT", `${name}: no option "${key}"; it has: ${known}`);
      }
      const value = given[key];
      if (value !== undefined) read[key] = value;
    }
    return read;
  };
}

/** The one of `choices` that an option names. */
export function choose<K extends string, V>(
  name: string,
  option: string,
  choices: Readonly<Record<K, V>>,
  chosen: K,
): V {
  if (typeof chosen === "string" && Object.hasOwn(choices, chosen)) return choices[chosen];
  const known = Object.keys(choices)
    .map((choice) => JSON.stringify(choice))
    .join(", ");
  throw new EngineError(
    "BAD_ARGUMENT",
    `${name}: ${option}: expected one of ${known}, got ${describe(chosen)}`,
  );
}
