import { type Op, type OpOptions, type OpResult, type OpValue, op } from "../door.js";
import { EngineError } from "../errors.js";
import { native, type Schema } from "../native.js";
import { Tensor } from "../tensor.js";
import { fits } from "./fits.js";
import { inCallOrder } from "./order.js";
import type { Aten } from "./schemas.generated.js";

export type { Aten, Overloads } from "./schemas.generated.js";
export type { OverloadName } from "./types.js";

type Values = (OpValue | OpOptions)[];

/** An operator of any namespace: callable, its overloads by name ("default" is the one without). */
export interface Packet {
  (...values: Values): OpResult;
  readonly [overload: string]: (...values: Values) => OpResult;
}

/** Operators of one namespace by name. */
export interface Operators {
  readonly [name: string]: Packet;
}

let index: Map<string, string[]> | undefined;

function readNames(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const full of native.operatorNames()) {
    const base = full.split(".", 1)[0] as string;
    const known = found.get(base);
    if (known === undefined) found.set(base, [full]);
    else known.push(full);
  }
  return found;
}

/** Full names of the overloads of "aten::add"; libraries loaded since the last look are found too. */
function overloadsOf(base: string): readonly string[] {
  index ??= readNames();
  if (!index.has(base)) index = readNames();
  return index.get(base) ?? [];
}

function brief(value: unknown): string {
  if (value instanceof Tensor) return "Tensor";
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `${brief(value[0])}[]`;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) return `{ ${Object.keys(value).join(", ")} }`;
  return String(value);
}

function noneFits(base: string, overloads: readonly Op[], values: readonly unknown[]): EngineError {
  const signatures = overloads.map(({ schema }) => `\n  ${schema.schema}`).join("");
  return new EngineError(
    "BAD_ARGUMENT",
    `${base}: expected arguments that fit one of its overloads, got (${values.map(brief).join(", ")}). There are:${signatures}`,
  );
}

function caller(base: string): (...values: Values) => OpResult {
  let overloads: Op[] | undefined;
  return (...values) => {
    if (overloads === undefined) {
      const ops = new Map(
        overloadsOf(base)
          .map((name) => op(name))
          .map((found) => [found.schema, found]),
      );
      overloads = inCallOrder([...ops.keys()]).map((schema: Schema) => ops.get(schema) as Op);
    }
    const [only] = overloads;
    if (only !== undefined && overloads.length === 1) return only(...values);
    const chosen = overloads.find(({ schema }) => fits(schema, values));
    if (chosen === undefined) throw noneFits(base, overloads, values);
    return chosen(...values);
  };
}

/** What a promise or a printer asks any object for. */
const notNames = new Set([
  "then",
  "toJSON",
  "constructor",
  "prototype",
  "inspect",
  "nodeType",
  "asymmetricMatch",
]);

function packet(base: string): Packet {
  if (overloadsOf(base).length === 0) op(base); // throws NO_OPERATOR
  return new Proxy(caller(base), {
    get: (call, overload) => {
      if (typeof overload !== "string" || Object.hasOwn(call, overload) || notNames.has(overload))
        return Reflect.get(call, overload);
      if (overload === "apply" || overload === "call" || overload === "bind")
        return Reflect.get(call, overload);
      return op(overload === "default" ? base : `${base}.${overload}`);
    },
    has: (call, overload) =>
      Reflect.has(call, overload) ||
      (typeof overload === "string" &&
        overloadsOf(base).includes(overload === "default" ? base : `${base}.${overload}`)),
  }) as unknown as Packet;
}

/**
 * Every operator of a namespace, of libtorch's or of a loaded library's: `operators("torchvision").nms(boxes, scores,
 * 0.5)`. An operator is called as it is in `torch.ops`: directly, when the first overload that fits the arguments is
 * taken, or by the overload's name, `operators("aten").add.Tensor(x, y, { alpha: 2 })`.
 *
 * @throws EngineError NO_OPERATOR where there is none of that name; BAD_ARGUMENT when no overload fits the arguments.
 */
export function operators(namespace: string): Operators {
  const packets = new Map<string, Packet>();
  return new Proxy({} as Operators, {
    get: (target, name) => {
      if (typeof name !== "string" || notNames.has(name)) return Reflect.get(target, name);
      const known = packets.get(name) ?? packet(`${namespace}::${name}`);
      packets.set(name, known);
      return known;
    },
    has: (_, name) => typeof name === "string" && overloadsOf(`${namespace}::${name}`).length > 0,
    ownKeys: () => {
      index = readNames();
      const prefix = `${namespace}::`;
      return [...index.keys()]
        .filter((base) => base.startsWith(prefix))
        .map((base) => base.slice(prefix.length));
    },
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
  });
}

/**
 * libtorch's own operators, typed from the schemas of libtorch 1.13.1; newer ones that those types lack are in
 * `operators("aten")`. `aten.add.Tensor(x, y, { alpha: 2 })`, `aten.relu(x)`.
 */
export const aten: Aten = operators("aten") as unknown as Aten;
