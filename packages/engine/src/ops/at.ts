// Indexing as people write it: x.at(0), x.at("1:5", "...", null, mask).
import { full, tensor } from "../create.js";
import { EngineError } from "../errors.js";
import { scope } from "../scope.js";
import { Tensor } from "../tensor.js";
import { long, typeAs } from "./convert.js";
import { copy_, fill_ } from "./elementwise.js";
import { use } from "./operators.js";
import { index, indexPut_, select, slice } from "./select.js";
import { reshape, unsqueeze } from "./shape.js";

/**
 * What to take of one dimension:
 * - a number: that slice, without the dimension; negative ones count from the end
 * - "start:stop:step" as in Python, each part optional, step above 0: "1:5", ":", "-3:", "::2"
 * - "...": all of the dimensions that the others leave over
 * - null: a new dimension of size 1
 * - an int64 or int32 tensor, or number[]: the slices it lists; several of them go together element by element
 * - a bool tensor: where it holds; it stands for as many dimensions as it has
 */
export type Index = number | string | null | Tensor | readonly number[];

interface Span {
  readonly start: number | null;
  readonly stop: number | null;
  readonly step: number;
}

function show(spec: unknown): string {
  if (spec instanceof Tensor) return spec.isFreed ? "a freed tensor" : `a ${spec.dtype} tensor`;
  if (typeof spec === "string") return JSON.stringify(spec);
  return Array.isArray(spec) ? `[${spec.slice(0, 6).map(show).join(", ")}]` : String(spec);
}

function refuse(name: string, place: number, expected: string, spec: unknown): EngineError {
  return new EngineError("BAD_ARGUMENT", `${name}: index ${place}: expected ${expected}, got ${show(spec)}`);
}

const spanPattern = /^\s*([+-]?\d+)?\s*:\s*([+-]?\d+)?\s*(?::\s*([+-]?\d+)?\s*)?$/;

function parseSpan(name: string, place: number, text: string): Span {
  const found = spanPattern.exec(text);
  if (found === null) throw refuse(name, place, 'a slice "start:stop:step" or "..."', text);
  const [start, stop, step] = [found[1], found[2], found[3]].map((part) =>
    part === undefined ? null : Number(part),
  );
  if (step != null && step <= 0) throw refuse(name, place, "a step above 0 (flip() reverses)", text);
  return { start: start ?? null, stop: stop ?? null, step: step ?? 1 };
}

/** Dimensions of x that a spec uses up. */
function taken(spec: Index): number {
  if (spec === null || spec === "...") return 0;
  return spec instanceof Tensor && spec.dtype === "bool" ? spec.ndim : 1;
}

/** Where the specs have led to: a view, the next of its dimensions, and tensors that index some of those before. */
interface Walk {
  readonly name: string;
  readonly left: number;
  x: Tensor;
  dim: number;
  readonly tensors: Map<number, Tensor>;
}

function indexTensor(walk: Walk, place: number, spec: Tensor | readonly number[]): Tensor {
  if (!(spec instanceof Tensor)) {
    if (!spec.every((entry) => Number.isSafeInteger(entry)))
      throw refuse(walk.name, place, "an array of integers", spec);
    return tensor(spec, { dtype: "int64", device: walk.x.device });
  }
  if (spec.isFreed) throw new EngineError("FREED", `${walk.name}: index ${place}: the tensor has been freed`);
  const { dtype } = spec;
  if (dtype === "bool" || dtype === "int64") return spec;
  if (dtype === "int32") return long(spec);
  throw refuse(walk.name, place, "a bool, int64 or int32 tensor", spec);
}

function takeNumber(walk: Walk, place: number, spec: number): void {
  const size = walk.x.shape[walk.dim] as number;
  if (!Number.isSafeInteger(spec)) throw refuse(walk.name, place, "an integer", spec);
  if (spec < -size || spec >= size)
    throw refuse(
      walk.name,
      place,
      `an integer from ${-size} to ${size - 1} for a dimension of size ${size}`,
      spec,
    );
  walk.x = select(walk.x, walk.dim, spec);
}

function takeMask(walk: Walk, place: number, mask: Tensor): void {
  if (mask.ndim === 0) throw refuse(walk.name, place, "a mask with dimensions", mask);
  const sizes = walk.x.shape.slice(walk.dim, walk.dim + mask.ndim);
  if (String(sizes) !== String(mask.shape))
    throw refuse(walk.name, place, `a mask of shape [${sizes.join(", ")}]`, `[${mask.shape.join(", ")}]`);
  walk.tensors.set(walk.dim, mask);
  walk.dim += mask.ndim;
}

function step(walk: Walk, place: number, spec: Index): void {
  if (spec === null) {
    walk.x = unsqueeze(walk.x, walk.dim++);
  } else if (spec === "...") {
    walk.dim += walk.left;
  } else if (typeof spec === "number") {
    takeNumber(walk, place, spec);
  } else if (typeof spec === "string") {
    const { start, stop, step } = parseSpan(walk.name, place, spec);
    const whole = start === null && stop === null && step === 1;
    if (!whole) walk.x = slice(walk.x, walk.dim, start, stop, step);
    walk.dim++;
  } else if (spec instanceof Tensor || Array.isArray(spec)) {
    const by = indexTensor(walk, place, spec);
    if (by.dtype === "bool") takeMask(walk, place, by);
    else walk.tensors.set(walk.dim++, by);
  } else {
    throw refuse(walk.name, place, 'a number, "start:stop:step", "...", null, a Tensor or number[]', spec);
  }
}

function walkThrough(name: string, x: Tensor, specs: readonly Index[]): Walk {
  const used = specs.reduce((sum: number, spec) => sum + taken(spec), 0);
  const ndim = x.ndim;
  if (used > ndim) {
    throw new EngineError(
      "BAD_ARGUMENT",
      `${name}: expected indices for at most ${ndim} dimensions of a tensor of shape [${x.shape.join(", ")}], got ${used}`,
    );
  }
  if (specs.filter((spec) => spec === "...").length > 1)
    throw new EngineError("BAD_ARGUMENT", `${name}: expected "..." at most once, got it more often`);
  const walk: Walk = { name, left: ndim - used, x, dim: 0, tensors: new Map() };
  specs.forEach((spec, place) => {
    step(walk, place, spec);
  });
  return walk;
}

/** The tensors of a walk as libtorch lists them: null for each dimension that none indexes. */
function indicesOf(walk: Walk): (Tensor | null)[] {
  const indices: (Tensor | null)[] = [];
  let dim = 0;
  for (const [at, by] of walk.tensors) {
    for (; dim < at; dim++) indices.push(null);
    indices.push(by);
    dim += by.dtype === "bool" ? by.ndim : 1;
  }
  return indices;
}

const alias = use("alias");

/**
 * Part of x, by one index for each dimension from the first (see {@link Index}): a view where only numbers, slices and
 * null are given, a copy where tensors or arrays are. Where several tensors index with whole dimensions between them,
 * the indexed dimension comes first in the result, as in NumPy.
 *
 * @throws EngineError BAD_ARGUMENT for an index out of range, a bad slice, or more indices than dimensions.
 */
export function at(x: Tensor, ...specs: Index[]): Tensor {
  return scope(() => {
    const walk = walkThrough("at", x, specs);
    if (walk.tensors.size > 0) return index(walk.x, indicesOf(walk));
    return walk.x === x ? alias(x) : walk.x;
  });
}

/** `value` without the leading dimensions of size 1 that the place it goes to lacks. */
function fitted(value: Tensor, ndim: number): Tensor {
  const { shape } = value;
  let extra = 0;
  while (shape.length - extra > ndim && shape[extra] === 1) extra++;
  return extra === 0 ? value : reshape(value, shape.slice(extra));
}

/**
 * Writes `value`, a number or a tensor that broadcasts, where {@link at} would read: `setAt(x, [":", 0], 1)`.
 * Returns x.
 */
export function setAt(x: Tensor, specs: readonly Index[], value: Tensor | number): Tensor {
  if (!Array.isArray(specs))
    throw new EngineError("BAD_ARGUMENT", `setAt: expected an array of indices, got ${show(specs)}`);
  scope(() => {
    const walk = walkThrough("setAt", x, specs as readonly Index[]);
    if (walk.tensors.size > 0) {
      const { dtype, device } = x;
      const values = value instanceof Tensor ? typeAs(value, x) : full([], value, { dtype, device });
      indexPut_(walk.x, indicesOf(walk), values);
    } else if (value instanceof Tensor) {
      copy_(walk.x, fitted(value, walk.x.ndim));
    } else {
      fill_(walk.x, value);
    }
  });
  return x;
}
