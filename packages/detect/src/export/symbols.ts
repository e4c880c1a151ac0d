import { EngineError } from "@sepc/engine";
import type { Trace } from "./trace.js";

/** A whole number in a graph: fixed, the size of some value's axis, or a sum. */
export type Size =
  | { readonly kind: "fixed"; readonly value: number }
  | { readonly kind: "axis"; readonly value: number; readonly axis: number }
  | { readonly kind: "sum"; readonly terms: readonly [Size, Size] };

const keyOf = (values: readonly number[]): string => values.join(",");

/**
 * Says of numbers that a network computed from the sizes of its maps how they depend on them: a number is followed
 * through all traces and found again among the sizes of values known by then, or as a sum of two of them.
 */
export class Sizes {
  readonly #known = new Map<string, Size>();
  readonly #vectors: { readonly values: readonly number[]; readonly size: Size }[] = [];

  constructor(readonly traces: readonly Trace[]) {}

  /** From now on the sizes of this value may be used. */
  learn(value: number): void {
    const rank = this.traces[0]?.values[value]?.shape.length ?? 0;
    for (let axis = 0; axis < rank; axis++) {
      const values = this.of(value, axis);
      if (isFixed(values)) continue;
      this.#remember(values, { kind: "axis", value, axis });
    }
  }

  #remember(values: readonly number[], size: Size): void {
    const key = keyOf(values);
    if (this.#known.has(key)) return;
    this.#known.set(key, size);
    this.#vectors.push({ values, size });
  }

  /** Sizes of one axis of a value in all traces. */
  of(value: number, axis: number): number[] {
    return this.traces.map(({ values }) => values[value]?.shape[axis] as number);
  }

  /**
   * @param values one number in each trace
   * @throws EngineError BAD_ARGUMENT when it is no size and no sum of two
   */
  resolve(values: readonly number[], what: string): Size {
    if (isFixed(values)) return { kind: "fixed", value: values[0] as number };
    const known = this.#known.get(keyOf(values));
    if (known !== undefined) return known;
    for (const { values: part, size } of this.#vectors) {
      const rest = values.map((value, i) => value - (part[i] as number));
      const other: Size | undefined = isFixed(rest)
        ? { kind: "fixed", value: rest[0] as number }
        : this.#known.get(keyOf(rest));
      if (other === undefined) continue;
      const sum: Size = { kind: "sum", terms: [size, other] };
      this.#remember(values, sum);
      return sum;
    }
    throw new EngineError(
      "BAD_ARGUMENT",
      `export: ${what} is ${values.join(", ")} for pictures of several sizes, which is no size of its maps`,
    );
  }
}

export const isFixed = (values: readonly number[]): boolean => values.every((value) => value === values[0]);
