import { type nn, scope, type Tensor } from "@sepc/engine";
import { ownOp } from "./library.js";

const batchNormRelu = ownOp("pyramid_batch_norm_relu");

/** Counts a batch; the weight that it has in the running statistics. */
function momentumOf(bn: nn.BatchNorm2d): number {
  const { momentum = 0.1 } = bn.config;
  const counted = bn.numBatchesTracked?.tensor;
  if (counted === undefined) return momentum ?? 0;
  scope(() => {
    counted.add_(1);
  });
  return momentum ?? 1 / counted.item();
}

/**
 * Integrated batch normalisation in training (section 3.3), then ReLU: the statistics of `bn` are those of all levels
 * together. Levels [N, C, H_l, W_l], the same shapes out; updates the running statistics of `bn`.
 * @throws EngineError OP_FAILED when a channel has one value, which has no variance.
 */
export function pyramidBatchNormRelu(levels: readonly Tensor[], bn: nn.BatchNorm2d): Tensor[] {
  const { weight, bias, runningMean, runningVar, config } = bn;
  const out = batchNormRelu(
    levels,
    weight?.tensor ?? null,
    bias?.tensor ?? null,
    runningMean?.tensor ?? null,
    runningVar?.tensor ?? null,
    momentumOf(bn),
    config.eps ?? 1e-5,
  );
  // A list of one comes out of the door as its element.
  return (Array.isArray(out) ? out : [out]) as Tensor[];
}
