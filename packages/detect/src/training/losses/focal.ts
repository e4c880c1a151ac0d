import { ops, scope, type Tensor } from "@sepc/engine";

/** Focal loss of sigmoid scores (Lin et al. 2017, equation 5). */
export interface FocalConfig {
  /** How much easy examples count less; 2 in the paper. */
  readonly gamma: number;
  /** Weight of positives, 1 - alpha of negatives; 0.25 in the paper. */
  readonly alpha: number;
}

/** (1 - p)^gamma · -log(p) for p = sigmoid(z), elementwise. */
function modulated(z: Tensor, gamma: number): Tensor {
  const rest = z.neg().sigmoid();
  const weight = gamma === 2 ? rest.square() : rest.pow(gamma);
  return weight.mul(ops.softplus(z.neg()));
}

/** Loss of each logit if its class is absent: same shape. */
export function focalOfAbsent(logits: Tensor, { gamma, alpha }: FocalConfig): Tensor {
  return scope(() => modulated(logits.neg(), gamma).mul(1 - alpha));
}

/** Loss of each logit if its class is there: same shape. */
export function focalOfPresent(logits: Tensor, { gamma, alpha }: FocalConfig): Tensor {
  return scope(() => modulated(logits, gamma).mul(alpha));
}

/**
 * Elementwise loss of logits `[N, C]` with labels int64 `[N]`: c the class, C or more, or -1, background.
 * @returns `[N, C]`
 */
export function focalLoss(logits: Tensor, labels: Tensor, config: FocalConfig): Tensor {
  return scope(() => {
    const classes = logits.shape[1] as number;
    const present = ops
      .oneHot(ops.where(labels.ge(0).logicalAnd(labels.lt(classes)), labels, classes), classes + 1)
      .narrow(1, 0, classes)
      .to({ dtype: "bool" });
    return ops.where(present, focalOfPresent(logits, config), focalOfAbsent(logits, config));
  });
}
