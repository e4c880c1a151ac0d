// Calls operators with arguments that are wrong in every way that JavaScript allows, and must come through it:
//   node main.mjs <calls> <seed> [<operator> ...]
// Writes the running call to file descriptor 3 where that is open, so that a crash can be told from its last words.
// Says what it saw as one line of JSON.
import { writeSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { makeArguments, makePool, random } from "./arguments.mjs";

const dist = process.env.ENGINE_DIST ?? new URL("../../dist/", import.meta.url).pathname;
const load = (file) => import(pathToFileURL(`${dist}/${file}`).href);
const engine = await load("index.js");
const { native } = await load("native.js");
const ops = await load("ops/index.js");
const { EngineError, liveTensors, op, scope } = engine;

/** Not called: what maps a file of any name, and what works for as long as a number says. */
const leftOut = /^aten::(from_file$|special_.*polynomial)/;

/** What ops/ calls, and every public operator that does not write into `out`. */
function operatorNames() {
  const used = [...ops.usedSchemas().keys()];
  const all = native
    .operatorNames()
    .filter((name) => name.startsWith("aten::") && !name.startsWith("aten::_"));
  const known = new Set([...used, ...all.sort()]);
  return [...known].filter((name) => {
    const { schema } = op(name);
    const out = schema.arguments.some((argument) => argument.written && argument.kwargOnly);
    return !out && !leftOut.test(name);
  });
}

function tellsWhere(text) {
  if (process.env.FUZZ_TRACE) writeSync(3, `${text}\n`);
}

/** One call; true when it was refused. Anything but an EngineError is a defect of ours. */
function attempt(name, call, draw, pool) {
  return scope(() => {
    const values = makeArguments(call.schema, draw, pool, engine);
    tellsWhere(name);
    if (process.env.FUZZ_SHOW) process.stderr.write(`${name} ${values.map(show).join(" | ")}\n`);
    try {
      call(...values);
      return false;
    } catch (cause) {
      if (!(cause instanceof EngineError))
        throw new Error(`${name} threw ${cause?.stack ?? cause}`, { cause });
      if (!cause.message.startsWith(name.split(".")[0]))
        throw new Error(`${name}: the message does not name it: ${cause.message}`);
      return true;
    }
  });
}

function show(value, depth = 0) {
  if (value instanceof engine.Tensor && typeof value.handle === "number")
    return value.isFreed ? "freed" : `${value.dtype}[${value.shape}]${value.isContiguous ? "" : "~"}`;
  if (Array.isArray(value))
    return depth > 2 ? "[...]" : `[${value.slice(0, 5).map((v) => show(v, depth + 1))}]`;
  if (value && typeof value === "object")
    return `{${Object.entries(value).map(([k, v]) => `${k}:${show(v, depth + 1)}`)}}`;
  return typeof value === "bigint"
    ? `${value}n`
    : typeof value === "function"
      ? "function"
      : typeof value === "symbol"
        ? "symbol"
        : String(value);
}

/** Sums, products and gradients that must still come out right. */
function stillWorks() {
  return scope(() => {
    const x = engine.tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { requiresGrad: true },
    );
    const y = ops.sum(ops.mul(ops.matmul(x, x), 2));
    const [gradient] = engine.grad([y], [x]);
    const pooled = ops.maxPool2d(engine.arange(16).float().reshape([1, 1, 4, 4]), 2);
    return { sum: y.item(), gradient: gradient.tolist(), pooled: pooled.tolist() };
  });
}

const [calls, seed, ...only] = process.argv.slice(2);
const names = only.length > 0 ? only : operatorNames();
const callables = names.map((name) => op(name));
engine.manualSeed(Number(seed));
const before = liveTensors();
let refused = 0;
const total = Number(calls);
for (let i = 0; i < total; i++) {
  const at = i % names.length;
  const draw = random(Number(seed) * 1_000_003 + i);
  refused += scope(() => attempt(names[at], callables[at], draw, makePool(draw, engine, ops)));
}
const after = liveTensors();
const { rss } = process.memoryUsage();
process.stdout.write(
  `${JSON.stringify({ calls: total, refused, operators: names.length, before, after, rss, works: stillWorks() })}\n`,
);
