import { zeros } from "../create.js";
import { op, tensorOp } from "../door.js";
import { check } from "../errors.js";
import type { Parameter } from "../nn/module.js";
import type { Tensor } from "../tensor.js";
import { Optimizer, type ParamGroup } from "./optimizer.js";

const mulScalar_ = op("aten::_foreach_mul_.Scalar");
const addList = op("aten::_foreach_add.List");
const addList_ = op("aten::_foreach_add_.List");
const addcmul_ = op("aten::_foreach_addcmul_.Scalar");
const addcdiv_ = op("aten::_foreach_addcdiv_.ScalarList");
const addScalar_ = op("aten::_foreach_add_.Scalar");
const divScalars_ = op("aten::_foreach_div_.ScalarList");
const sqrt = op("aten::_foreach_sqrt");
const zerosLike = tensorOp("aten::zeros_like");
const addOne = op("aten::add_.Scalar");

export interface AdamOptions {
  lr: number;
  /** Decay of the running means of the gradient and of its square. */
  betas: readonly [number, number];
  eps: number;
  /** Adam: g += weightDecay·p, 0 unless told. AdamW: p −= lr·weightDecay·p first, 0.01 unless told. */
  weightDecay: number;
}
export type AdamWOptions = AdamOptions;

/**
 * Adam, Kingma and Ba 2015, as in PyTorch: m and v are running means of g and g², corrected for their start at 0;
 * p −= lr·m̂ / (√v̂ + eps).
 */
export class Adam extends Optimizer<AdamOptions> {
  /** @internal `decay`: the weight decay unless told. */
  constructor(
    params: readonly Parameter[] | readonly ParamGroup<AdamOptions>[],
    options: Partial<AdamOptions> = {},
    decay = 0,
  ) {
    super(params, { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: decay }, options);
    const { name } = this.constructor;
    for (const { options: o } of this.groups) {
      check(o.lr >= 0, () => `${name}: expected lr >= 0, got ${o.lr}`);
      check(o.eps >= 0, () => `${name}: expected eps >= 0, got ${o.eps}`);
      check(o.weightDecay >= 0, () => `${name}: expected weightDecay >= 0, got ${o.weightDecay}`);
      check(
        o.betas.length === 2 && o.betas.every((beta) => beta >= 0 && beta < 1),
        () => `${name}: expected two betas in [0, 1), got ${o.betas}`,
      );
    }
  }

  /** Applies the weight decay; the gradients to go on with. */
  protected decay(
    tensors: readonly Tensor[],
    grads: readonly Tensor[],
    { weightDecay }: AdamOptions,
  ): readonly Tensor[] {
    return weightDecay === 0 ? grads : (addList(grads, tensors, { alpha: weightDecay }) as Tensor[]);
  }

  protected update(params: readonly Parameter[], gradients: readonly Tensor[], options: AdamOptions): void {
    const { lr, betas, eps } = options;
    const tensors = params.map((parameter) => parameter.tensor);
    const means = params.map((parameter) =>
      this.remember(parameter, "mean", () => zerosLike(parameter.tensor)),
    );
    const squares = params.map((parameter) =>
      this.remember(parameter, "square", () => zerosLike(parameter.tensor)),
    );
    const steps = params.map((parameter) => {
      const count = this.remember(parameter, "step", () => zeros([], { dtype: "float64" }));
      addOne(count, 1);
      return count.item();
    });
    const grads = this.decay(tensors, gradients, options);
    mulScalar_(means, betas[0]);
    addList_(means, grads, { alpha: 1 - betas[0] });
    mulScalar_(squares, betas[1]);
    addcmul_(squares, grads, grads, 1 - betas[1]);
    const denominators = sqrt(squares) as Tensor[];
    divScalars_(
      denominators,
      steps.map((step) => Math.sqrt(1 - betas[1] ** step)),
    );
    addScalar_(denominators, eps);
    addcdiv_(
      tensors,
      means,
      denominators,
      steps.map((step) => -lr / (1 - betas[0] ** step)),
    );
  }
}

/** Adam with decoupled weight decay, Loshchilov and Hutter 2019, as in PyTorch. */
export class AdamW extends Adam {
  constructor(
    params: readonly Parameter[] | readonly ParamGroup<AdamWOptions>[],
    options: Partial<AdamWOptions> = {},
  ) {
    super(params, options, 0.01);
  }

  protected override decay(
    tensors: readonly Tensor[],
    grads: readonly Tensor[],
    { lr, weightDecay }: AdamWOptions,
  ): readonly Tensor[] {
    if (weightDecay !== 0) mulScalar_(tensors, 1 - lr * weightDecay);
    return grads;
  }
}
