import { EngineError } from "../../errors.js";

/** Larger than any checkpoint's pickle by far: tensors are not in it. */
export const largestPickle = 2 ** 28;

const most = {
  opcodes: 20_000_000,
  objects: 1_000_000,
  /** Of dicts and sets: numbers beyond a million. Their hashes are not seeded, so that a file could make all collide. */
  keys: 20_000,
  memo: 4_000_000,
  stack: 1_000_000,
  marks: 10_000,
} as const;

const allowance = 1_000_000;

/**
 * What a pickle may use up. A few bytes must not become gigabytes: containers and tensors are counted, and what is copied
 * (a pickle can refer to one long list a million times) may in all not be longer than the pickle.
 */
export class Budget {
  readonly #used = { opcodes: 0, objects: 0, keys: 0 };
  #copied = 0;

  constructor(
    readonly file: string,
    readonly pickleBytes: number,
  ) {}

  #refuse(what: string): never {
    throw new EngineError("PYTORCH_INVALID", `${this.file}: expected a checkpoint, got a pickle of ${what}`);
  }

  count(what: "opcodes" | "objects" | "keys"): void {
    if (++this.#used[what] > most[what])
      this.#refuse(`more than ${most[what]} ${what === "keys" ? "large numbers as keys" : what}`);
  }

  check(what: "memo" | "stack" | "marks", size: number): void {
    if (size > most[what]) this.#refuse(`more than ${most[what]} entries on its ${what}`);
  }

  /** A key that is about to be put into a dict or set. */
  key(key: unknown): void {
    const small = typeof key === "number" && Number.isInteger(key) && Math.abs(key) <= 2 ** 20;
    if (!small && (typeof key === "number" || typeof key === "bigint")) this.count("keys");
  }

  /** Elements or bytes that are about to be copied. */
  copy(elements: number): void {
    this.#copied += elements;
    if (this.#copied > this.pickleBytes + allowance) this.#refuse("copies longer than itself");
  }
}
