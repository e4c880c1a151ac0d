import { EngineError } from "../../errors.js";
import type { ByteCursor } from "./cursor.js";
import { Budget, largestPickle } from "./limits.js";
import { kindOf, PickledObject } from "./objects.js";
import { opcodes } from "./opcodes.js";

/** What a pickle may ask for besides plain values. */
export interface PickleHost {
  /** The value for a class or function that the pickle names. */
  global(module: string, name: string, machine: PickleMachine): unknown;
  /** The value for calling it. */
  call(callable: unknown, args: readonly unknown[], machine: PickleMachine): unknown;
  /** Hands `state` to a value that was made. */
  build(value: unknown, state: unknown, machine: PickleMachine): void;
  /** The value for a reference to something outside of the pickle. */
  persistent(id: unknown, machine: PickleMachine): unknown;
}

/**
 * The stack machine that a pickle is a program for, protocols 2 to 5 (Python's pickletools describes the opcodes).
 * dict: Map; list and tuple: array; set: Set; int: number, or bigint beyond 2^53; bytes: Uint8Array; None: null.
 * It executes nothing: names of classes and functions go to the host, which knows a fixed list of values to build.
 */
export class PickleMachine {
  readonly #stack: unknown[] = [];
  /** Heights of the stack at each open MARK. */
  readonly #marks: number[] = [];
  readonly #memo: unknown[] = [];
  #remembered = 0;
  #start = 0;

  constructor(
    readonly file: string,
    readonly cursor: ByteCursor,
    readonly host: PickleHost,
    readonly budget = new Budget(file, Math.min(cursor.left, largestPickle)),
  ) {}

  /** Runs to the STOP opcode. The cursor stands behind it then. */
  run(): unknown {
    this.#start = this.cursor.position;
    for (;;) {
      if (this.cursor.position - this.#start > largestPickle)
        this.fail(`expected a pickle of at most ${largestPickle} bytes`);
      this.budget.count("opcodes");
      const code = this.cursor.uint8();
      if (code === 0x2e) break; // STOP
      const execute = opcodes[code];
      if (execute === undefined)
        this.fail(`expected an opcode of the pickle protocols 2 to 5, got 0x${code.toString(16)}`);
      execute(this);
    }
    const result = this.pop();
    if (this.#stack.length > 0 || this.#marks.length > 0) this.fail("values are left over at its end");
    return result;
  }

  fail(message: string): never {
    throw new EngineError(
      "PYTORCH_INVALID",
      `${this.file}: pickle, byte ${this.cursor.position - this.#start}: ${message}`,
    );
  }

  push(value: unknown): void {
    this.#stack.push(value);
    this.budget.check("stack", this.#stack.length);
  }

  /** Pushes a new container or object. */
  pushObject(value: object): void {
    this.budget.count("objects");
    this.push(value);
  }

  pop(): unknown {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) this.fail("takes a value from an empty stack");
    return this.#stack.pop();
  }

  top(): unknown {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) this.fail("looks for a value on an empty stack");
    return this.#stack.at(-1);
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
    this.budget.check("marks", this.#marks.length);
  }

  /** Takes what was pushed since the last MARK. */
  popMark(): unknown[] {
    const height = this.#marks.pop();
    if (height === undefined) this.fail("closes a mark that is not open");
    return this.#stack.splice(height);
  }

  /** POP drops a value or, where there is none, a mark. */
  drop(): void {
    if (this.#stack.length > (this.#marks.at(-1) ?? 0)) this.#stack.pop();
    else this.popMark();
  }

  /** Writers number the entries of the memo from 0 on. */
  remember(index: number = this.#remembered): void {
    this.budget.check("memo", index);
    if (!(index in this.#memo)) this.#remembered++;
    this.#memo[index] = this.top();
  }

  recall(index: number): void {
    if (!(index in this.#memo)) this.fail(`recalls entry ${index} of its memo, which has none`);
    this.push(this.#memo[index]);
  }

  /** A length that a value claims. */
  length(count: number): number {
    if (count < 0 || count > largestPickle)
      this.fail(`claims ${count} bytes, expected 0 to ${largestPickle}`);
    this.cursor.need(count);
    return count;
  }

  append(target: unknown, values: readonly unknown[]): void {
    if (Array.isArray(target)) for (const value of values) target.push(value);
    else if (target instanceof Set) for (const value of values) this.addTo(target, value);
    else if (target instanceof PickledObject) for (const value of values) target.items.push(value);
    else this.fail(`appends to ${kindOf(target)}`);
  }

  /** `flat`: key, value, key, value ... */
  setItems(target: unknown, flat: readonly unknown[]): void {
    if (flat.length % 2 !== 0) this.fail("sets a key without a value");
    if (!(target instanceof Map || target instanceof PickledObject))
      this.fail(`sets items of ${kindOf(target)}`);
    for (let i = 0; i < flat.length; i += 2) {
      if (target instanceof Map) this.setItem(target, flat[i], flat[i + 1]);
      else target.items.push([flat[i], flat[i + 1]]);
    }
  }

  /** A key that stands twice has the last value, as in Python. */
  setItem(target: Map<unknown, unknown>, key: unknown, value: unknown): void {
    this.budget.key(key);
    target.set(key, value);
  }

  addTo(target: Set<unknown>, value: unknown): void {
    this.budget.key(value);
    target.add(value);
  }
}
