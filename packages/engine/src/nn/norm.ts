import { ones, zeros } from "../create.js";
import { op, tensorOp } from "../door.js";
import { check } from "../errors.js";
import { scope } from "../scope.js";
import type { Tensor } from "../tensor.js";
import { checkCounts, type LayerOptions } from "./conv.js";
import { Layer } from "./layer.js";
import { Buffer, Parameter } from "./module.js";

const emptyLike = tensorOp("aten::empty_like");
const batchNorm = tensorOp("aten::batch_norm");
const groupNorm = tensorOp("aten::group_norm");
const layerNorm = tensorOp("aten::layer_norm");
const addInPlace = op("aten::add_.Scalar");

export interface BatchNorm2dConfig extends LayerOptions {
  readonly numFeatures: number;
  readonly eps?: number | undefined;
  /** Weight of a new batch in the running statistics, 0.1 unless told; null gives all batches the same weight. */
  readonly momentum?: number | null | undefined;
  readonly affine?: boolean | undefined;
  readonly trackRunningStats?: boolean | undefined;
}

/**
 * [N, C, H, W] -> the same, normalised over N, H and W: by the batch's statistics in training, by the running ones
 * (unbiased variance) in evaluation. Ioffe and Szegedy 2015, as in PyTorch.
 */
export class BatchNorm2d extends Layer {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly runningMean: Buffer | null;
  readonly runningVar: Buffer | null;
  readonly numBatchesTracked: Buffer | null;

  constructor(readonly config: BatchNorm2dConfig) {
    super();
    checkCounts("BatchNorm2d", config, "numFeatures");
    const { numFeatures, affine = true, trackRunningStats = true, device } = config;
    this.weight = affine ? new Parameter(ones([numFeatures], config)) : null;
    this.bias = affine ? new Parameter(zeros([numFeatures], config)) : null;
    this.runningMean = trackRunningStats ? new Buffer(zeros([numFeatures], config)) : null;
    this.runningVar = trackRunningStats ? new Buffer(ones([numFeatures], config)) : null;
    this.numBatchesTracked = trackRunningStats ? new Buffer(zeros([], { dtype: "int64", device })) : null;
  }

  protected override fieldNames(): Record<string, string> {
    return {
      runningMean: "running_mean",
      runningVar: "running_var",
      numBatchesTracked: "num_batches_tracked",
    };
  }

  /** @throws EngineError BAD_ARGUMENT when a channel has one value, which has no variance, to be normalised by. */
  forward(x: Tensor): Tensor {
    const { numFeatures, eps = 1e-5 } = this.config;
    const { shape } = x;
    check(
      shape.length === 4 && shape[1] === numFeatures,
      () => `BatchNorm2d: expected [N, ${numFeatures}, H, W], got [${shape.join(", ")}]`,
    );
    const batch = this.training || this.runningMean === null;
    check(
      !batch || shape.reduce((product, size) => product * size, 1) !== numFeatures,
      () =>
        `BatchNorm2d: expected more than one value a channel, got [${shape.join(", ")}]; use a larger batch` +
        (this.runningMean === null ? "" : ", or eval()"),
    );
    const momentum = this.training ? this.#count() : 0;
    return batchNorm(
      x,
      this.weight?.tensor ?? null,
      this.bias?.tensor ?? null,
      this.runningMean?.tensor ?? null,
      this.runningVar?.tensor ?? null,
      batch,
      momentum,
      eps,
      true,
    );
  }

  /** Counts a batch; the weight that it has in the running statistics. */
  #count(): number {
    const { momentum = 0.1 } = this.config;
    const counted = this.numBatchesTracked?.tensor;
    if (counted === undefined) return momentum ?? 0;
    scope(() => addInPlace(counted, 1) && undefined);
    return momentum ?? 1 / counted.item();
  }
}

export interface GroupNormConfig extends LayerOptions {
  readonly numGroups: number;
  readonly numChannels: number;
  readonly eps?: number | undefined;
  readonly affine?: boolean | undefined;
}

/** [N, C, ...] -> the same, normalised within each image over groups of channels. Wu and He 2018. */
export class GroupNorm extends Layer {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;

  constructor(readonly config: GroupNormConfig) {
    super();
    checkCounts("GroupNorm", config, "numGroups", "numChannels");
    const { numGroups, numChannels, affine = true } = config;
    check(
      numChannels % numGroups === 0,
      () =>
        `GroupNorm: expected numChannels to be a multiple of numGroups, got ${numChannels} and ${numGroups}`,
    );
    this.weight = affine ? new Parameter(ones([numChannels], config)) : null;
    this.bias = affine ? new Parameter(zeros([numChannels], config)) : null;
  }

  forward(x: Tensor): Tensor {
    const { numGroups, eps = 1e-5 } = this.config;
    // libtorch 2 knows this operator's shapes in Python alone.
    if (x.device === "meta") return emptyLike(x);
    return groupNorm(x, numGroups, this.weight?.tensor ?? null, this.bias?.tensor ?? null, eps);
  }
}

export interface LayerNormConfig extends LayerOptions {
  readonly normalizedShape: readonly number[];
  readonly eps?: number | undefined;
}

/** Normalised over the last dimensions. Ba, Kiros and Hinton 2016. */
export class LayerNorm extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(readonly config: LayerNormConfig) {
    super();
    this.weight = new Parameter(ones(config.normalizedShape, config));
    this.bias = new Parameter(zeros(config.normalizedShape, config));
  }

  forward(x: Tensor): Tensor {
    const { normalizedShape, eps = 1e-5 } = this.config;
    return layerNorm(x, normalizedShape, this.weight.tensor, this.bias.tensor, eps);
  }
}
