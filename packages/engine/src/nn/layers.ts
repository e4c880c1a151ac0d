import { tensorOp } from "../door.js";
import { check } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { type Pair, pair } from "./conv.js";
import { Layer } from "./layer.js";

const relu = tensorOp("aten::relu");
const leakyRelu = tensorOp("aten::leaky_relu");
const sigmoid = tensorOp("aten::sigmoid");
const silu = tensorOp("aten::silu");
const maxPool2d = tensorOp("aten::max_pool2d");
const avgPool2d = tensorOp("aten::avg_pool2d");
const adaptiveAvgPool2d = tensorOp("aten::adaptive_avg_pool2d");
const nearest = tensorOp("aten::upsample_nearest2d.vec");
const bilinear = tensorOp("aten::upsample_bilinear2d.vec");
const dropout = tensorOp("aten::dropout");
const flatten = tensorOp("aten::flatten.using_ints");

export class Identity extends Layer {
  forward(x: Tensor): Tensor {
    return x;
  }
}

export class ReLU extends Layer {
  forward(x: Tensor): Tensor {
    return relu(x);
  }
}

export class LeakyReLU extends Layer {
  constructor(readonly slope = 0.01) {
    super();
  }

  forward(x: Tensor): Tensor {
    return leakyRelu(x, this.slope);
  }
}

export class Sigmoid extends Layer {
  forward(x: Tensor): Tensor {
    return sigmoid(x);
  }
}

/** x · sigmoid(x). */
export class SiLU extends Layer {
  forward(x: Tensor): Tensor {
    return silu(x);
  }
}

export interface PoolConfig {
  readonly kernelSize: Pair;
  /** The kernel's size unless told. */
  readonly stride?: Pair | undefined;
  readonly padding?: Pair | undefined;
  readonly ceilMode?: boolean | undefined;
}

/** [N, C, H, W] -> [N, C, H', W'] */
export class MaxPool2d extends Layer {
  constructor(readonly config: PoolConfig) {
    super();
    pair(config?.kernelSize, "MaxPool2d: kernelSize");
  }

  forward(x: Tensor): Tensor {
    const { kernelSize, stride = kernelSize, padding = 0, ceilMode = false } = this.config;
    return maxPool2d(x, pair(kernelSize), pair(stride), pair(padding), 1, ceilMode);
  }
}

/** [N, C, H, W] -> [N, C, H', W']; padding counts as zeros. */
export class AvgPool2d extends Layer {
  constructor(readonly config: PoolConfig) {
    super();
    pair(config?.kernelSize, "AvgPool2d: kernelSize");
  }

  forward(x: Tensor): Tensor {
    const { kernelSize, stride = kernelSize, padding = 0, ceilMode = false } = this.config;
    return avgPool2d(x, pair(kernelSize), pair(stride), pair(padding), ceilMode);
  }
}

/** [N, C, H, W] -> [N, C, ...size] */
export class AdaptiveAvgPool2d extends Layer {
  constructor(readonly size: Pair) {
    super();
    pair(size, "AdaptiveAvgPool2d: size");
  }

  forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, pair(this.size));
  }
}

/** Either `size` or `scaleFactor`. */
export interface UpsampleConfig {
  readonly size?: Pair | undefined;
  readonly scaleFactor?: Pair | undefined;
  readonly mode?: "nearest" | "bilinear" | undefined;
  readonly alignCorners?: boolean | undefined;
}

/** [N, C, H, W] -> [N, C, H', W'], to a size or by a factor. */
export class Upsample extends Layer {
  constructor(readonly config: UpsampleConfig) {
    super();
    const { size, scaleFactor, mode = "nearest", alignCorners = false } = config;
    check(
      mode === "nearest" || mode === "bilinear",
      () => `Upsample: expected mode "nearest" or "bilinear", got ${JSON.stringify(mode)}`,
    );
    check(
      mode === "bilinear" || !alignCorners,
      () => 'Upsample: alignCorners needs mode "bilinear", got "nearest"',
    );
    check(
      (size === undefined) !== (scaleFactor === undefined),
      () => `Upsample: expected size or scaleFactor, got ${size === undefined ? "neither" : "both"}`,
    );
  }

  forward(x: Tensor): Tensor {
    const { size, scaleFactor, mode = "nearest", alignCorners = false } = this.config;
    const target = size === undefined ? null : pair(size);
    const factor = scaleFactor === undefined ? null : pair(scaleFactor);
    return mode === "nearest" ? nearest(x, target, factor) : bilinear(x, target, alignCorners, factor);
  }
}

/** Zeroes elements with probability `p` in training and scales the rest by 1 / (1 - p). */
export class Dropout extends Layer {
  constructor(readonly p = 0.5) {
    super();
  }

  forward(x: Tensor): Tensor {
    return dropout(x, this.p, this.training);
  }
}

/** [N, ...] -> [N, product of the rest] */
export class Flatten extends Layer {
  forward(x: Tensor): Tensor {
    return flatten(x, 1);
  }
}

/** Layers one after another; their names in state dicts are their places. */
export class Sequential<L extends readonly Layer[] = readonly Layer[]> extends Layer {
  readonly layers: L;

  constructor(...layers: L) {
    super();
    for (const [i, layer] of layers.entries()) {
      check(
        typeof layer?.forward === "function",
        () =>
          `Sequential: expected layers one by one, got ${Array.isArray(layer) ? "an array; spread it: new Sequential(...layers)" : `${layer} at ${i}`}`,
      );
    }
    this.layers = layers;
  }

  protected override fieldNames(): Record<string, string> {
    return { layers: "" };
  }

  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer.forward(y), x);
  }
}
