import type { OverloadName, Overloads } from "../aten/index.js";
import { op } from "../door.js";
import { EngineError } from "../errors.js";
import type { Schema } from "../native.js";

const used = new Map<string, Schema>();

/**
 * The operator `aten::name`, with the type that its schema has in libtorch 1.13.1. Where the libtorch found has none,
 * calling it throws NO_OPERATOR, and without libtorch NO_LIBTORCH; importing does not.
 */
export function use<N extends OverloadName>(name: N): Overloads[N] {
  const full = `aten::${name}`;
  try {
    const found = op(full);
    used.set(full, found.schema);
    return found as unknown as Overloads[N];
  } catch (cause) {
    if (!(cause instanceof EngineError) || !["NO_OPERATOR", "NO_LIBTORCH"].includes(cause.code)) throw cause;
    return (() => op(full)()) as unknown as Overloads[N];
  }
}

/** Schemas of the operators that the functions of this folder call, by full name. */
export function usedSchemas(): ReadonlyMap<string, Schema> {
  return used;
}
