import { GeneratorHandle } from "./door.js";
import { native } from "./native.js";
import { type Device, Tensor } from "./tensor.js";

const registry = new FinalizationRegistry<number>((handle) => native.freeGenerator(handle));

/** A stream of random numbers of its own: the same seed gives the same numbers, whatever else draws. */
export class Generator extends GeneratorHandle {
  /** @internal */
  readonly handle: number;

  constructor(
    seed: number | bigint,
    readonly device: Device = "cpu",
  ) {
    super();
    this.handle = native.generator(device, BigInt(seed));
    registry.register(this, this.handle);
  }

  /** Starts the stream again from `seed`. */
  seed(seed: number | bigint): void {
    native.seedGenerator(this.handle, BigInt(seed));
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
  native.manualSeed(BigInt(seed));
}
