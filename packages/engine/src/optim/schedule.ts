import { check, EngineError } from "../errors.js";

/** The factor on a group's base learning rate at step (or epoch) `t`, counted from 0. */
export type Schedule = (t: number) => number;

/** ×gamma every `size` steps. */
export function stepSchedule(size: number, gamma = 0.1): Schedule {
  check(size > 0, () => `stepSchedule: expected a positive size, got ${size}`);
  return (t) => gamma ** Math.floor(t / size);
}

/** ×gamma at each milestone: the paper's 1x schedule is [8, 11] of 12 epochs. */
export function multiStepSchedule(milestones: readonly number[], gamma = 0.1): Schedule {
  check(
    Array.isArray(milestones) && milestones.every((milestone) => milestone >= 0),
    () => `multiStepSchedule: expected an array of milestones, steps from 0, got ${String(milestones)}`,
  );
  return (t) => gamma ** milestones.filter((milestone) => t >= milestone).length;
}

/** Half a cosine from 1 to `least` over `length` steps, then `least`. Loshchilov and Hutter 2017, without restarts. */
export function cosineSchedule(length: number, least = 0): Schedule {
  check(length > 0, () => `cosineSchedule: expected a positive length, got ${length}`);
  return (t) => least + ((1 - least) * (1 + Math.cos((Math.PI * Math.min(t, length)) / length))) / 2;
}

/** From `ratio` up to 1 over `steps`, in a line: 1 − (1 − t/steps)(1 − ratio), as in mmdetection. */
export function linearWarmup(steps: number, ratio = 1 / 3): Schedule {
  check(steps >= 0, () => `linearWarmup: expected steps >= 0, got ${steps}`);
  return (t) => (t < steps ? 1 - (1 - t / steps) * (1 - ratio) : 1);
}

/** `ratio` for the first `steps`, then 1. */
export function constantWarmup(steps: number, ratio = 1 / 3): Schedule {
  check(steps >= 0, () => `constantWarmup: expected steps >= 0, got ${steps}`);
  return (t) => (t < steps ? ratio : 1);
}

/** The product of schedules that all count the same steps. */
export function product(...schedules: readonly Schedule[]): Schedule {
  return (t) => schedules.reduce((factor, schedule) => factor * schedule(t), 1);
}

/** All that a scheduler remembers, plain data. */
export interface SchedulerState {
  readonly step: number;
  /** Base learning rates, one a group. */
  readonly base: readonly number[];
}

/**
 * Sets learning rates by a schedule; remembers the base rates.
 * Throws EngineError BAD_ARGUMENT where the schedule gives no finite factor from 0.
 */
export class Scheduler {
  #base: number[];
  #step = 0;

  constructor(
    readonly optimizer: { readonly groups: readonly { options: { lr: number } }[] },
    readonly schedule: Schedule,
  ) {
    check(
      Array.isArray(optimizer?.groups) && typeof schedule === "function",
      () => "Scheduler: expected an optimiser and a schedule, a function of the step",
    );
    this.#base = optimizer.groups.map(({ options }) => options.lr);
    this.#apply();
  }

  /** Learning rates now, one a group. */
  get rates(): number[] {
    return this.optimizer.groups.map(({ options }) => options.lr);
  }

  get steps(): number {
    return this.#step;
  }

  /** To be called after each step of the optimiser. */
  step(): void {
    this.goTo(this.#step + 1);
  }

  /** Goes on from a saved step. @throws EngineError BAD_ARGUMENT unless it is a whole number from 0. */
  goTo(step: number): void {
    check(
      Number.isSafeInteger(step) && step >= 0,
      () => `Scheduler: expected a step from 0, a whole number, got ${step}`,
    );
    this.#step = step;
    this.#apply();
  }

  stateDict(): SchedulerState {
    return { step: this.#step, base: [...this.#base] };
  }

  /**
   * Goes on from a saved state, whatever the optimiser's rates are now.
   * @throws EngineError STATE_MISMATCH when it was saved with another number of groups, or by no scheduler.
   */
  loadStateDict(state: SchedulerState): void {
    if (!Number.isSafeInteger(state?.step) || state.step < 0 || !state.base?.every?.(Number.isFinite)) {
      throw new EngineError(
        "STATE_MISMATCH",
        "Scheduler: expected a state of stateDict(), { step: a whole number, base: [rates] }",
      );
    }
    if (state.base.length !== this.#base.length) {
      throw new EngineError(
        "STATE_MISMATCH",
        `Scheduler: expected base rates of ${this.#base.length} parameter groups, got ${state.base.length}`,
      );
    }
    this.#base = [...state.base];
    this.goTo(state.step);
  }

  #apply(): void {
    const factor = this.schedule(this.#step);
    // NaN would reach every weight at the next step of the optimiser.
    check(
      Number.isFinite(factor) && factor >= 0,
      () => `Scheduler: expected the schedule to give a finite factor >= 0, got ${factor} at ${this.#step}`,
    );
    for (const [i, group] of this.optimizer.groups.entries()) {
      group.options.lr = (this.#base[i] as number) * factor;
    }
  }
}
