import { keep, type nn, noGrad, scope, type Tensor } from "@sepc/engine";

/** A running mean of a network's state, which often detects better than the state itself. */
export class Ema {
  readonly #means = new Map<string, Tensor>();
  #updates = 0;

  /** @param decay share of the mean that stays at each update, reached after a while: early means follow faster */
  constructor(
    readonly module: nn.Module,
    readonly decay: number,
  ) {
    for (const [name, tensor] of module.stateDict())
      this.#means.set(name, keep(noGrad(() => tensor.detach().clone())));
  }

  get state(): ReadonlyMap<string, Tensor> {
    return this.#means;
  }

  get updates(): number {
    return this.#updates;
  }

  /** To be called after each step of the optimiser. */
  update(): void {
    this.#updates++;
    const decay = Math.min(this.decay, (1 + this.#updates) / (10 + this.#updates));
    noGrad(() =>
      scope(() => {
        for (const [name, tensor] of this.module.stateDict()) {
          const mean = this.#means.get(name) as Tensor;
          if (tensor.dtype.startsWith("float") || tensor.dtype === "bfloat16") mean.lerp_(tensor, 1 - decay);
          else mean.copy_(tensor);
        }
      }),
    );
  }

  /** Goes on from a saved state. */
  load(state: ReadonlyMap<string, Tensor>, updates: number): void {
    this.#updates = updates;
    noGrad(() => {
      for (const [name, tensor] of state) this.#means.get(name)?.copy_(tensor);
    });
  }

  /** Runs `body` with the means in the network's place. */
  async during<T>(body: () => Promise<T>): Promise<T> {
    const own = new Map(
      [...this.module.stateDict()].map(
        ([name, tensor]) => [name, keep(noGrad(() => tensor.detach().clone()))] as const,
      ),
    );
    this.module.loadStateDict(this.#means);
    try {
      return await body();
    } finally {
      this.module.loadStateDict(own);
      for (const tensor of own.values()) tensor.free();
    }
  }
}
