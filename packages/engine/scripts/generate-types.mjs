// Writes src/aten/schemas.generated.ts: a TypeScript signature for every operator in namespace aten of the libtorch
// that the built addon loads. Run it after `npm run build`, with the oldest libtorch that is supported (1.13.1):
//   node packages/engine/scripts/generate-types.mjs
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = process.env.ENGINE_DIST ?? join(here, "..", "dist");
/** @param {string} file */
const load = (file) => import(pathToFileURL(join(dist, file)).href);

/** Types of arguments, without the question mark of optional ones. */
const argumentTypes = {
  Tensor: "T",
  "Tensor[]": "TL",
  "Tensor?[]": "TNL",
  int: "I",
  SymInt: "I",
  "int[]": "IL",
  "SymInt[]": "IL",
  float: "number",
  "float[]": "NL",
  Scalar: "S",
  "Scalar[]": "NL",
  bool: "B",
  "bool[]": "readonly B[]",
  str: "Str",
  "str[]": "readonly Str[]",
  ScalarType: "D",
  Layout: "L",
  MemoryFormat: "M",
  Device: "V",
  Generator: "G",
};

/** Types of results. ScalarType, Layout and MemoryFormat come back as libtorch's numbers. */
const resultTypes = {
  Tensor: "T",
  "Tensor[]": "T[]",
  int: "I",
  SymInt: "I",
  "int[]": "I[]",
  "SymInt[]": "I[]",
  float: "number",
  Scalar: "S",
  bool: "B",
  str: "Str",
  ScalarType: "number",
  Layout: "number",
  MemoryFormat: "number",
  QScheme: "number",
  Device: "Str",
};

/** @param {{ type: string, length?: number }} argument */
function argumentType({ type, length }) {
  const plain = type.replace(/\?$/, "");
  const optional = plain !== type;
  if (plain === "Tensor" && optional) return "TN";
  let found = argumentTypes[plain] ?? "O";
  if (length && (found === "IL" || found === "NL")) found = found === "IL" ? "IX" : "number|NL";
  return optional ? `${found}|null` : found;
}

/** @param {{ type: string }[]} returns */
function resultType(returns) {
  const types = returns.map(({ type }) => {
    const plain = type.replace(/\?$/, "");
    return (resultTypes[plain] ?? "O") + (plain === type ? "" : "|null");
  });
  return types.length === 0 ? "null" : types.length === 1 ? types[0] : `[${types.join(",")}]`;
}

const reserved = new Set([
  "in",
  "default",
  "with",
  "function",
  "var",
  "new",
  "this",
  "class",
  "enum",
  "import",
]);

/** @param {{ name: string, type: string, hasDefault: boolean }} argument @param {boolean} optional */
const member = (argument, optional) => `${argument.name}${optional ? "?" : ""}:${argumentType(argument)}`;

/** @param {any[]} named */
function optionsType(named) {
  const needed = named.some((argument) => !argument.hasDefault);
  const inside = named.map((argument) => member(argument, argument.hasDefault)).join(";");
  return `o${needed ? "" : "?"}:{${inside}}`;
}

/** @param {any[]} positional */
function parameters(positional) {
  const lastNeeded = positional.findLastIndex((argument) => !argument.hasDefault);
  return positional.map((argument, i) => {
    const name = reserved.has(argument.name) ? `${argument.name}_` : argument.name;
    return member({ ...argument, name }, i > lastNeeded);
  });
}

/** One signature by position and, where that leaves something out, one by name. */
function signatures(schema) {
  const key = schema.overload === "" ? schema.name : `${schema.name}.${schema.overload}`;
  const short = JSON.stringify(key.replace(/^aten::/, ""));
  const name = /^"[a-zA-Z_]\w*"$/.test(short) ? short.slice(1, -1) : short;
  const named = schema.arguments.filter((argument) => argument.kwargOnly);
  const positional = schema.arguments.filter((argument) => !argument.kwargOnly);
  const result = resultType(schema.returns);
  const options = named.length > 0 ? [optionsType(named)] : [];
  const needsOptions = named.some((argument) => !argument.hasDefault);
  const lastNeeded = positional.findLastIndex((argument) => !argument.hasDefault);
  const front = positional.slice(0, lastNeeded + 1);
  const rest = positional.slice(lastNeeded + 1);
  const byName = `${name}(${[...parameters(front), optionsType([...rest, ...named])].join(",")}):${result};`;
  if (rest.length === 0 && named.length > 0) return byName;
  // A parameter that must be given cannot follow one that may be left out.
  const all = needsOptions
    ? parameters(positional).map((text) => text.replace(/^(\w+)\?:(.*)$/, "$1:$2|undefined"))
    : parameters(positional);
  const byPosition = `${name}(${[...all, ...options].join(",")}):${result};`;
  return rest.length === 0 ? byPosition : byPosition + byName;
}

const { native } = await load("native.js");
const { inCallOrder } = await load("aten/order.js");
const packets = new Map();
for (const full of native
  .operatorNames()
  .filter((name) => name.startsWith("aten::"))
  .sort()) {
  const schema = native.resolve(full);
  const list = packets.get(schema.name) ?? [];
  packets.set(schema.name, [...list, schema]);
}

const overloads = [];
const names = [];
for (const [full, found] of packets) {
  const ordered = inCallOrder(found);
  overloads.push(...ordered.map(signatures));
  const name = full.slice("aten::".length);
  const kinds = ordered.map(({ overload }) => (overload === "" ? "default" : overload));
  const list = kinds.length === 1 && kinds[0] === "default" ? "" : `,${JSON.stringify(kinds)}`;
  names.push(`${name}:P<${JSON.stringify(name)}${list}>;`);
}
const text = `// Made by scripts/generate-types.mjs from the operator schemas of libtorch ${native.version()}. Do not edit.
import type { B, D, G, I, IL, IX, L, M, NL, O, P, S, Str, T, TL, TN, TNL, V } from "./types.js";

/** Every overload by its name. */
export interface Overloads {
${overloads.join("\n")}
}

/** Every operator. */
export interface Aten {
${names.join("\n")}
}
`;
const target = join(here, "..", "src", "aten", "schemas.generated.ts");
writeFileSync(target, text);
process.stdout.write(
  `${target}: ${packets.size} operators, ${overloads.length} overloads, ${text.length} bytes\n`,
);
