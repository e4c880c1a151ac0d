import { EngineError } from "./errors.js";
import { native } from "./native.js";
import { wire } from "./wire.js";

/** What a scope frees: the base of Tensor. */
export abstract class Held {
  // `declare`: plain assignments in the constructor are several times faster than field definitions.
  /** @internal Handle in the addon's table; -1 once freed. */
  declare handle: number;
  /** @internal The scope that will free it; null when only its owner or the garbage collector will. */
  declare home: Scope | null;

  protected constructor(handle: number) {
    this.handle = handle;
    this.home = current;
    if (current !== null) current.members.push(this);
    else adopt(this, null);
  }
}

/** One run of {@link scope}. */
class Scope {
  readonly members: Held[] = [];
  constructor(readonly outer: Scope | null) {}
}

let current: Scope | null = null;

/** The net below: tensors that no scope holds are freed when the garbage collector finds them unreachable. */
const registry = new FinalizationRegistry<number>((handle) => freeHandles([handle]));

// The collector's callbacks run only between turns of the event loop; a loop that never yields would pile tensors up.
const manyUnscoped = 100_000;
let unscopedThisTurn = 0;
let warned = false;

function countUnscoped(): void {
  if (unscopedThisTurn++ === 0) setImmediate(() => (unscopedThisTurn = 0)).unref();
  if (unscopedThisTurn < manyUnscoped || warned) return;
  warned = true;
  process.emitWarning(
    `${manyUnscoped} tensors were made outside scope() without a turn of the event loop; their memory is freed only ` +
      "when it turns. Wrap the body of the loop in scope(() => ...).",
    { code: "SEPC_UNSCOPED_TENSORS" },
  );
}

function adopt(held: Held, scope: Scope | null): void {
  held.home = scope;
  if (scope !== null) {
    scope.members.push(held);
    return;
  }
  registry.register(held, held.handle, held);
  native.leaveToCollector(held.handle);
  countUnscoped();
}

/** Frees native handles, as many at a time as the shared buffer holds. */
function freeHandles(handles: readonly number[]): void {
  for (let first = 0; first < handles.length; first += wire.cells.length) {
    const count = Math.min(handles.length - first, wire.cells.length);
    for (let i = 0; i < count; i++) wire.cells[i] = handles[first + i] as number;
    native.free(count);
  }
}

/** Frees one tensor now. Freeing twice is allowed. */
export function free(held: Held): void {
  if (held.handle < 0) return;
  const { handle } = held;
  if (held.home === null) registry.unregister(held);
  held.home = null;
  held.handle = -1;
  freeHandles([handle]);
}

function* heldIn(value: unknown, depth = 0): Generator<Held> {
  if (value instanceof Held) yield value;
  else if (depth > 16 || typeof value !== "object" || value === null) return;
  else if (Array.isArray(value)) for (const element of value) yield* heldIn(element, depth + 1);
  else if (value instanceof Map) for (const element of value.values()) yield* heldIn(element, depth + 1);
  else if (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null)
    yield* heldIn(Object.values(value), depth + 1);
}

function close(scope: Scope, kept: ReadonlySet<Held>): void {
  const handles: number[] = [];
  for (const member of scope.members) {
    if (member.home !== scope || member.handle < 0) continue;
    if (kept.has(member)) {
      adopt(member, scope.outer);
      continue;
    }
    handles.push(member.handle);
    member.handle = -1;
    member.home = null;
  }
  freeHandles(handles);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/**
 * @internal Runs what must be over when this returns.
 * @throws EngineError naming `what`: BAD_ARGUMENT for no function, SCOPE_ASYNC for a promise.
 */
export function runSync<T>(what: string, body: () => T): T {
  if (typeof body !== "function")
    throw new EngineError("BAD_ARGUMENT", `${what}: expected a function to run, got ${typeof body}`);
  const result = body();
  if (!isThenable(result)) return result;
  // The refusal is the error; a rejection later, for which nobody can wait any more, must not end the process.
  result.then(undefined, () => {});
  throw new EngineError(
    "SCOPE_ASYNC",
    `${what}: expected a synchronous function, got one that returns a promise; await outside it`,
  );
}

/**
 * Runs `body`, then frees every tensor made inside it, except those in its result (a tensor, or arrays, maps and plain
 * objects of tensors), which move to the surrounding scope, and those given to {@link keep}. Frees as well when `body`
 * throws. Autograd holds references of its own: a loss computed in a scope can still be differentiated inside it.
 *
 * @throws EngineError SCOPE_ASYNC when `body` returns a promise: two asynchronous scopes would free each other's tensors.
 */
export function scope<T>(body: () => T): T {
  const mine = new Scope(current);
  current = mine;
  let kept: ReadonlySet<Held> = new Set();
  try {
    const result = runSync("scope", body);
    kept = new Set(heldIn(result));
    return result;
  } finally {
    current = mine.outer;
    close(mine, kept);
  }
}

/** Takes a tensor out of all scopes: its owner frees it, or the garbage collector does. Returns it. */
export function keep<T extends Held>(held: T): T {
  if (held.home !== null && held.handle >= 0) adopt(held, null);
  return held;
}

/** Tensors alive in this thread, freed by nobody yet, and the bytes of memory they hold. */
export function liveTensors(): { tensors: number; bytes: number } {
  return native.counts();
}
