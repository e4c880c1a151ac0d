import { DTYPES, type DType, isDType, type TypedArray } from "./dtype.js";
import { EngineError, engineError } from "./errors.js";
import { native } from "./native.js";
import { formatTensor, type Nested, nest } from "./print.js";
import { free, Held } from "./scope.js";
import { wire } from "./wire.js";

/** Where tensors live: "cpu", "cuda" or "cuda:0"; on "meta" they have shapes and dtypes, and no values. */
export type Device = "cpu" | "meta" | "cuda" | `cuda:${number}`;

const Flags = { requiresGrad: 1, leaf: 2, contiguous: 4, channelsLast: 8 } as const;

/**
 * A view of numbers in libtorch's memory. Make one with `tensor`, `zeros` and the like; free many with `scope`.
 * Arithmetic is in `ops` and as methods (`x.add(y)`).
 */
export class Tensor extends Held {
  /** @internal Takes over a handle of the addon. */
  // biome-ignore lint/complexity/noUselessConstructor: widens the visibility of the base's
  constructor(handle: number) {
    super(handle);
  }

  #live(what: string): number {
    if (!(this.handle >= 0)) throw new EngineError("FREED", `${what}: the tensor has been freed`);
    return this.handle;
  }

  #flags(what: string): number {
    native.describe(this.#live(what));
    return wire.cells[0] as number;
  }

  get dtype(): DType {
    return native.dtype(this.#live("dtype")) as DType;
  }

  get device(): Device {
    return native.device(this.#live("device")) as Device;
  }

  /** Sizes of the dimensions, outermost first. */
  get shape(): number[] {
    native.describe(this.#live("shape"));
    const rank = wire.cells[2] as number;
    return Array.from(wire.cells.subarray(3, 3 + rank));
  }

  /** Distance in elements between neighbours along each dimension. */
  get strides(): number[] {
    native.describe(this.#live("strides"));
    const rank = wire.cells[2] as number;
    return Array.from(wire.cells.subarray(3 + rank, 3 + 2 * rank));
  }

  /** First element's place in the storage, in elements. */
  get storageOffset(): number {
    native.describe(this.#live("storageOffset"));
    return wire.cells[1] as number;
  }

  /** Number of dimensions. */
  get ndim(): number {
    native.describe(this.#live("ndim"));
    return wire.cells[2] as number;
  }

  /** Number of elements. */
  get numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  get isFreed(): boolean {
    return !(this.handle >= 0);
  }

  get isContiguous(): boolean {
    return (this.#flags("isContiguous") & Flags.contiguous) !== 0;
  }

  /** Whether a [N, C, H, W] tensor's channels lie next to each other in memory. */
  get isChannelsLast(): boolean {
    return (this.#flags("isChannelsLast") & Flags.channelsLast) !== 0;
  }

  /** Whether it is no result of a recorded operation. */
  get isLeaf(): boolean {
    return (this.#flags("isLeaf") & Flags.leaf) !== 0;
  }

  get requiresGrad(): boolean {
    return (this.#flags("requiresGrad") & Flags.requiresGrad) !== 0;
  }

  set requiresGrad(on: boolean) {
    native.setRequiresGrad(this.#live("requiresGrad"), on);
  }

  /** What backward passes have accumulated here; null before the first. Each reading is a new handle. */
  get grad(): Tensor | null {
    const handle = native.gradientOf(this.#live("grad"));
    return handle < 0 ? null : new Tensor(handle);
  }

  set grad(gradient: Tensor | null) {
    if (gradient !== null && !(gradient instanceof Tensor))
      throw new EngineError("BAD_ARGUMENT", `grad: expected a Tensor or null, got ${typeof gradient}`);
    const [own, given] = [this.#live("grad"), gradient === null ? -1 : gradient.#live("grad")];
    try {
      native.setGradient(own, given);
    } catch (cause) {
      const told = [this, gradient as Tensor].map(
        ({ dtype, shape, device }) => `${dtype} [${shape.join(", ")}] on ${device}`,
      );
      throw engineError(cause, undefined, `, ${told[0]}, got ${told[1]}`);
    }
  }

  /** Frees the tensor now. Freeing twice is allowed; any other use afterwards throws FREED. */
  free(): void {
    free(this);
  }

  [Symbol.dispose](): void {
    free(this);
  }

  /**
   * The elements in row-major order, copied: Float32Array, Float64Array, BigInt64Array, Int32Array, Int16Array,
   * Int8Array, Uint8Array (uint8, bool) or Uint16Array (the bits of float16 and bfloat16).
   */
  toTypedArray(): TypedArray {
    const array = this.#array("toTypedArray");
    try {
      return new array(native.copyBytes(this.handle));
    } catch (cause) {
      throw engineError(cause, "toTypedArray");
    }
  }

  /**
   * The elements without a copy: writing to the array writes to the tensor, and the array keeps the memory alive.
   * @throws EngineError BAD_ARGUMENT unless the tensor is contiguous and on the CPU.
   */
  shareTypedArray(): TypedArray {
    const array = this.#array("shareTypedArray");
    return new array(native.shareBytes(this.handle));
  }

  /** As {@link shareTypedArray}, as raw bytes. */
  shareBytes(): Uint8Array {
    return new Uint8Array(native.shareBytes(this.#live("shareBytes")));
  }

  #array(what: string): (typeof DTYPES)[DType]["array"] {
    this.#live(what);
    const { dtype } = this;
    if (!isDType(dtype))
      throw new EngineError("BAD_ARGUMENT", `${what}: no typed array for dtype ${String(dtype)}`);
    return DTYPES[dtype].array;
  }

  /**
   * The one element as a number (booleans as 0 or 1).
   * @throws EngineError BAD_ARGUMENT when there is not exactly one, or an int64 is beyond 2^53: use toTypedArray().
   */
  item(): number {
    const value = native.item(this.#live("item"));
    const number = Number(value);
    if (typeof value === "bigint" && !Number.isSafeInteger(number)) {
      throw new EngineError(
        "BAD_ARGUMENT",
        `item: ${value} does not fit a JavaScript number; use toTypedArray()`,
      );
    }
    return number;
  }

  /**
   * The elements as nested arrays of numbers; one number for a tensor without dimensions.
   * @throws EngineError BAD_ARGUMENT when an int64 is beyond 2^53: use toTypedArray().
   */
  tolist(): Nested {
    return nest(this);
  }

  override toString(): string {
    return this.isFreed ? "Tensor(freed)" : formatTensor(this);
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/** Whether two tensors look at the same memory. */
export function sharesStorage(a: Tensor, b: Tensor): boolean {
  return native.sameStorage(a.handle, b.handle);
}
