import { op, tensorOp } from "../door.js";
import { check } from "../errors.js";
import type { Parameter } from "../nn/module.js";
import type { Tensor } from "../tensor.js";
import { Optimizer, type ParamGroup } from "./optimizer.js";

const addList = op("aten::_foreach_add.List");
const addList_ = op("aten::_foreach_add_.List");
const mulScalar_ = op("aten::_foreach_mul_.Scalar");
const clone = tensorOp("aten::clone");

export interface SGDOptions {
  lr: number;
  momentum: number;
  dampening: number;
  weightDecay: number;
  nesterov: boolean;
}

/**
 * Stochastic gradient descent as in PyTorch: g += weightDecay·p; v = momentum·v + (1 − dampening)·g (v = g the first
 * time); p −= lr·v, or with Nesterov p −= lr·(g + momentum·v).
 */
export class SGD extends Optimizer<SGDOptions> {
  constructor(
    params: readonly Parameter[] | readonly ParamGroup<SGDOptions>[],
    options: Partial<SGDOptions> & { lr: number },
  ) {
    const { lr } = options ?? {};
    super(params, { lr, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false } as SGDOptions, options);
    for (const { options: o } of this.groups) {
      check(o.lr >= 0, () => `SGD: expected lr >= 0, got ${o.lr}`);
      check(o.momentum >= 0, () => `SGD: expected momentum >= 0, got ${o.momentum}`);
      check(Number.isFinite(o.dampening), () => `SGD: expected a finite dampening, got ${o.dampening}`);
      check(o.weightDecay >= 0, () => `SGD: expected weightDecay >= 0, got ${o.weightDecay}`);
      check(
        !o.nesterov || (o.momentum > 0 && o.dampening === 0),
        () => "SGD: Nesterov needs momentum and no dampening",
      );
    }
  }

  protected update(params: readonly Parameter[], grads: readonly Tensor[], options: SGDOptions): void {
    const { lr, momentum, weightDecay, nesterov } = options;
    const tensors = params.map((parameter) => parameter.tensor);
    let direction = grads;
    if (weightDecay !== 0) direction = addList(grads, tensors, { alpha: weightDecay }) as Tensor[];
    if (momentum !== 0) {
      const velocity = this.#accelerate(params, direction, options);
      direction = nesterov ? (addList(direction, velocity, { alpha: momentum }) as Tensor[]) : velocity;
    }
    addList_(tensors, direction, { alpha: -lr });
  }

  #accelerate(params: readonly Parameter[], direction: readonly Tensor[], options: SGDOptions): Tensor[] {
    const { momentum, dampening } = options;
    const known = params.map((parameter) => this.state.get(parameter)?.momentum !== undefined);
    const velocity = params.map((parameter, i) =>
      this.remember(parameter, "momentum", () => clone(direction[i] as Tensor)),
    );
    const moving = velocity.filter((_, i) => known[i]);
    if (moving.length > 0) {
      mulScalar_(moving, momentum);
      const pushes = direction.filter((_, i) => known[i]);
      addList_(moving, pushes, { alpha: 1 - dampening });
    }
    return velocity;
  }
}
