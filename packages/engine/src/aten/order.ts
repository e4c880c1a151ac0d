import type { Schema } from "../native.js";

function writesOut(schema: Schema): boolean {
  return schema.arguments.some((argument) => argument.written && argument.kwargOnly);
}

function rank(schema: Schema): number {
  if (writesOut(schema)) return 3;
  if (schema.schema.includes("Dimname") || schema.arguments.some(({ type }) => type.startsWith("str[")))
    return 2;
  return schema.overload === "" ? 0 : 1;
}

/**
 * The order in which a call without an overload's name tries them: the default, the others by name, those over named
 * dimensions, those that write into `out`. Where several fit one call they mean the same (`conv2d` with an integer or
 * a string as padding, neither given), so any fixed order serves; libtorch's own depends on how it was linked.
 */
export function inCallOrder<S extends Schema>(overloads: readonly S[]): S[] {
  return [...overloads].sort(
    (a, b) => rank(a) - rank(b) || (a.overload < b.overload ? -1 : a.overload > b.overload ? 1 : 0),
  );
}
