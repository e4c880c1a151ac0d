import { GeneratorHandle, Opaque, type OpOptions, type OpValue } from "../door.js";
import type { Schema, SchemaArgument } from "../native.js";
import { Tensor } from "../tensor.js";

const isWhole = (value: unknown): boolean => typeof value === "bigint" || Number.isSafeInteger(value);
const isNumber = (value: unknown): boolean => typeof value === "number" || typeof value === "bigint";
const isScalar = (value: unknown): boolean => isNumber(value) || typeof value === "boolean";
const isText = (value: unknown): boolean => typeof value === "string";

const accepts: Readonly<Record<string, (value: unknown) => boolean>> = {
  Tensor: (value) => value instanceof Tensor,
  int: isWhole,
  SymInt: isWhole,
  float: isNumber,
  Scalar: isScalar,
  bool: (value) => typeof value === "boolean",
  str: isText,
  ScalarType: isText,
  Layout: isText,
  MemoryFormat: isText,
  Device: isText,
  Generator: (value) => value instanceof GeneratorHandle,
};

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** Whether a value can be an argument of that type; "Tensor?[]", "int[]" with a length, and so on. */
export function accepted(value: unknown, type: string, length: number | undefined): boolean {
  if (value === undefined) return true;
  if (type.endsWith("?")) return value === null || accepted(value, type.slice(0, -1), length);
  if (type.endsWith("[]")) {
    const element = type.slice(0, -2);
    if (!isList(value)) return length !== undefined && accepted(value, element, undefined);
    return Array.prototype.every.call(
      value,
      (entry) => entry !== undefined && accepted(entry, element, undefined),
    );
  }
  const test = accepts[type];
  return test === undefined ? value instanceof Opaque || value === null : test(value);
}

function isOptions(value: unknown): value is OpOptions {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Whether a call's positional values, and options in the last place, fit the schema. */
export function fits(schema: Schema, values: readonly (OpValue | OpOptions)[]): boolean {
  const last = values[values.length - 1];
  const named = isOptions(last) ? last : {};
  const count = isOptions(last) ? values.length - 1 : values.length;
  const all = schema.arguments;
  if (
    count > all.length ||
    Object.keys(named).some((name) => !all.some((argument) => argument.name === name))
  )
    return false;
  return all.every((argument: SchemaArgument, i) => {
    const value = i < count ? values[i] : named[argument.name];
    if (i < count && argument.kwargOnly) return false;
    return value === undefined ? argument.hasDefault : accepted(value, argument.type, argument.length);
  });
}
