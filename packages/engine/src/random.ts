import { GeneratorHandle } from "./door.js";
import { EngineError } from "./errors.js";
import { native } from "./native.js";
import { type Device, Tensor } from "./tensor.js";

const registry = new FinalizationRegistry<number>((handle) => native.freeGenerator(handle));

/** Seeds are 64 bits, signed or not. */
function seedOf(what: string, seed: number | bigint): bigint {
  const whole = typeof seed === "bigint" || (typeof seed === "number" && Number.isSafeInteger(seed));
  const bits = whole ? BigInt(seed) : null;
  if (bits !== null && bits >= -(2n ** 63n) && bits < 2n ** 64n) return bits;
  throw new EngineError("BAD_ARGUMENT", `${what}: expected an integer seed of 64 bits, got ${String(seed)}`);
}

/** A stream of random numbers of its own: the same seed gives the same numbers, whatever else draws. */
export class Generator extends GeneratorHandle {
  /** @internal */
  readonly handle: number;

  constructor(
    seed: number | bigint,
    readonly device: Device = "cpu",
  ) {
    super();
    this.handle = native.generator(device, seedOf("Generator", seed));
    registry.register(this, this.handle);
  }

  /** Starts the stream again from `seed`. */
  seed(seed: number | bigint): void {
    native.seedGenerator(this.handle, seedOf("Generator.seed", seed));
  }

  /** The stream's state as a uint8 tensor, to go on from later: assign it to another generator's `state`. */
  get state(): Tensor {
    return new Tensor(native.generatorState(this.handle));
  }

  set state(bytes: Tensor) {
    native.setGeneratorState(this.handle, bytes.handle);
  }
}

/** Seeds the default streams of the process, on every device. */
export function manualSeed(seed: number | bigint): void {
  native.manualSeed(seedOf("manualSeed", seed));
}
