import { noGrad } from "../autograd.js";
import { full, zeros } from "../create.js";
import { op, tensorOp } from "../door.js";
import { check, EngineError } from "../errors.js";
import type { Parameter } from "../nn/module.js";
import { scope } from "../scope.js";
import type { Tensor } from "../tensor.js";

const mul = tensorOp("aten::mul.Scalar");
const mulScalar_ = op("aten::_foreach_mul_.Scalar");
const finiteOf = tensorOp("aten::isfinite");
const all = tensorOp("aten::all");
const unscaleOnGpu = "aten::_amp_foreach_non_finite_check_and_unscale_";

export interface GradScalerOptions {
  /** First scale of the loss; 65536 unless told. */
  readonly initScale?: number | undefined;
  /** Factor after `growthInterval` steps without overflow; 2 unless told. */
  readonly growthFactor?: number | undefined;
  /** Factor after an overflow; 0.5 unless told. */
  readonly backoffFactor?: number | undefined;
  /** 2000 unless told. */
  readonly growthInterval?: number | undefined;
  /** When false every method passes through: the loss is not scaled and no step is left out. */
  readonly enabled?: boolean | undefined;
}

/** All that a scaler remembers, plain data. */
export interface GradScalerState {
  readonly scale: number;
  /** Updates in a row without an overflow. */
  readonly growthTracker: number;
}

/** What a scaler needs of an optimiser. */
export interface ScaledOptimizer {
  readonly groups: readonly { readonly params: readonly Parameter[] }[];
  step(): void;
}

/** Divides gradients by the scale in place; true when one of them is not finite. */
function unscaleAll(gradients: readonly Tensor[], scale: number): boolean {
  const alike = new Map<string, Tensor[]>();
  for (const gradient of gradients) {
    const key = `${gradient.device} ${gradient.dtype}`;
    alike.set(key, [...(alike.get(key) ?? []), gradient]);
  }
  // Every list is unscaled, also after an overflow was found in one.
  return [...alike.values()].map((list) => unscaleAlike(list, scale)).includes(true);
}

function unscaleAlike(gradients: readonly Tensor[], scale: number): boolean {
  const { device } = gradients[0] as Tensor;
  if (device.startsWith("cuda")) {
    const found = zeros([1], { device });
    // 1 / scale in double precision: the reciprocal in float32 would round for scales that are no powers of two.
    op(unscaleOnGpu)(gradients, found, full([1], 1 / scale, { device }));
    return found.item() !== 0;
  }
  mulScalar_(gradients, 1 / scale);
  return gradients.some((gradient) => !all(finiteOf(gradient)).item());
}

/**
 * Scales the loss so that small gradients survive in float16, and leaves out steps whose gradients overflowed, as
 * PyTorch's (Micikevicius et al. 2018, section 3.2). One iteration: `backward(scaler.scale(loss))`, perhaps
 * `scaler.unscale_(optimizer)` and clipping, `scaler.step(optimizer)`, `scaler.update()`.
 */
export class GradScaler {
  readonly #options: Required<{ [K in keyof GradScalerOptions]: NonNullable<GradScalerOptions[K]> }>;
  #scale: number;
  #growthTracker = 0;
  /** Since the last update: whether the gradients overflowed, and whether the step was made. */
  readonly #seen = new Map<ScaledOptimizer, { overflow: boolean; stepped: boolean }>();

  /** @throws EngineError BAD_ARGUMENT for factors and intervals that cannot work. */
  constructor(options: GradScalerOptions = {}) {
    const {
      initScale = 65536,
      growthFactor = 2,
      backoffFactor = 0.5,
      growthInterval = 2000,
      enabled = true,
    } = options;
    check(
      initScale > 0 && Number.isFinite(initScale),
      () => `GradScaler: expected initScale > 0, got ${initScale}`,
    );
    check(growthFactor > 1, () => `GradScaler: expected growthFactor > 1, got ${growthFactor}`);
    check(
      backoffFactor > 0 && backoffFactor < 1,
      () => `GradScaler: expected backoffFactor between 0 and 1, got ${backoffFactor}`,
    );
    check(
      Number.isInteger(growthInterval) && growthInterval > 0,
      () => `GradScaler: expected a positive whole growthInterval, got ${growthInterval}`,
    );
    this.#options = { initScale, growthFactor, backoffFactor, growthInterval, enabled };
    this.#scale = initScale;
  }

  /** The factor on the loss now; 1 when not enabled. */
  get currentScale(): number {
    return this.#options.enabled ? this.#scale : 1;
  }

  /** loss × scale; differentiable. */
  scale(loss: Tensor): Tensor {
    return this.#options.enabled ? mul(loss, this.#scale) : loss;
  }

  /**
   * Divides the gradients of the optimiser's parameters by the scale, in place, for clipping between backward and step.
   * @throws EngineError BAD_ARGUMENT when they have been since the last {@link update}.
   */
  unscale_(optimizer: ScaledOptimizer): void {
    if (!this.#options.enabled) return;
    if (this.#seen.has(optimizer)) {
      throw new EngineError(
        "BAD_ARGUMENT",
        "GradScaler.unscale_: these gradients have been unscaled since the last update(); call update() once after step()",
      );
    }
    const gradients = optimizer.groups
      .flatMap(({ params }) => params.map(({ grad }) => grad))
      .filter((gradient) => gradient !== null);
    const overflow = noGrad(() => scope(() => unscaleAll(gradients, this.#scale)));
    this.#seen.set(optimizer, { overflow, stepped: false });
  }

  /**
   * Makes the optimiser's step unless its gradients overflowed; unscales them first where nobody has.
   * Returns whether the step was made.
   * @throws EngineError BAD_ARGUMENT when called twice without {@link update} between.
   */
  step(optimizer: ScaledOptimizer): boolean {
    if (!this.#options.enabled) {
      optimizer.step();
      return true;
    }
    if (!this.#seen.has(optimizer)) this.unscale_(optimizer);
    const seen = this.#seen.get(optimizer) as { overflow: boolean; stepped: boolean };
    check(!seen.stepped, () => "GradScaler.step: expected update() after the step before, got another step");
    if (!seen.overflow) optimizer.step();
    seen.stepped = true;
    return !seen.overflow;
  }

  /** Lowers the scale after an overflow, raises it after `growthInterval` updates without one. */
  update(): void {
    const { enabled, backoffFactor, growthFactor, growthInterval } = this.#options;
    if (!enabled) return;
    check(this.#seen.size > 0, () => "GradScaler.update: expected a step() or unscale_() before, got none");
    if ([...this.#seen.values()].some(({ overflow }) => overflow)) {
      this.#scale *= backoffFactor;
      this.#growthTracker = 0;
    } else if (++this.#growthTracker === growthInterval) {
      // A scale beyond float32 would make every loss infinite.
      if (Math.fround(this.#scale * growthFactor) < Number.POSITIVE_INFINITY) this.#scale *= growthFactor;
      this.#growthTracker = 0;
    }
    this.#seen.clear();
  }

  stateDict(): GradScalerState {
    return { scale: this.#scale, growthTracker: this.#growthTracker };
  }

  /** @throws EngineError STATE_MISMATCH for what no scaler can have saved. */
  loadStateDict(state: GradScalerState): void {
    const { scale, growthTracker } = state;
    if (!(scale > 0 && Number.isFinite(scale)) || !(Number.isInteger(growthTracker) && growthTracker >= 0)) {
      throw new EngineError(
        "STATE_MISMATCH",
        `GradScaler: expected scale > 0 and growthTracker a whole number >= 0, got ${scale} and ${growthTracker}`,
      );
    }
    this.#scale = scale;
    this.#growthTracker = growthTracker;
    this.#seen.clear();
  }
}
