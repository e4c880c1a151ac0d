import { empty } from "../create.js";
import { type GeneratorHandle, tensorOp } from "../door.js";
import type { DType } from "../dtype.js";
import { check } from "../errors.js";
import type { Device, Tensor } from "../tensor.js";
import { defaultInit_ } from "./init.js";
import { Layer } from "./layer.js";
import { Parameter } from "./module.js";

const conv2d = tensorOp("aten::conv2d");
const convTranspose2d = tensorOp("aten::conv_transpose2d.input");
const linear = tensorOp("aten::linear");

export type Pair = number | readonly [number, number];

export interface LayerOptions {
  readonly dtype?: DType | undefined;
  readonly device?: Device | undefined;
  /** Stream that draws the first weights. */
  readonly generator?: GeneratorHandle | undefined;
}

export interface Conv2dConfig extends LayerOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: Pair;
  readonly stride?: Pair | undefined;
  readonly padding?: Pair | undefined;
  readonly dilation?: Pair | undefined;
  readonly groups?: number | undefined;
  readonly bias?: boolean | undefined;
}

/** Height and width. @throws EngineError BAD_ARGUMENT, naming `what`, for anything but one or two numbers. */
export function pair(value: Pair, what = "pair"): [number, number] {
  if (typeof value === "number") return [value, value];
  check(
    Array.isArray(value) && value.length === 2 && value.every((size) => typeof size === "number"),
    () => `${what}: expected a number or two, [height, width], got ${JSON.stringify(value)}`,
  );
  return [value[0], value[1]];
}

/** Refuses what cannot count `names`' channels or features before a tensor of that size is made. */
export function checkCounts(layer: string, config: unknown, ...names: readonly string[]): void {
  const given = (typeof config === "object" && config !== null ? config : {}) as Record<string, unknown>;
  for (const name of names) {
    const count = given[name];
    check(
      Number.isSafeInteger(count) && (count as number) >= 0,
      () =>
        `${layer}: expected ${name} to be a whole number, got ${String(count)}` +
        (config === given ? "" : `; all settings go in one object, { ${names.join(", ")} }`),
    );
  }
}

function checkConfig(name: string, config: Conv2dConfig): void {
  checkCounts(name, config, "inChannels", "outChannels");
  const { inChannels, outChannels, groups = 1 } = config;
  check(
    Number.isInteger(groups) && groups > 0 && inChannels % groups === 0 && outChannels % groups === 0,
    () =>
      `${name}: expected inChannels and outChannels to be multiples of groups, got inChannels=${inChannels}, outChannels=${outChannels}, groups=${groups}`,
  );
}

/** [N, inChannels, H, W] -> [N, outChannels, H', W']. Weight [O, I / groups, kH, kW]. */
export class Conv2d extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly config: Conv2dConfig;

  constructor(config: Conv2dConfig) {
    super();
    checkConfig("Conv2d", config);
    const { inChannels, outChannels, kernelSize, groups = 1, bias = true } = config;
    this.config = config;
    const [height, width] = pair(kernelSize, "Conv2d: kernelSize");
    const weight = empty([outChannels, inChannels / groups, height, width], config);
    const biases = bias ? empty([outChannels], config) : null;
    defaultInit_(weight, biases, (inChannels / groups) * height * width, config);
    this.weight = new Parameter(weight);
    this.bias = biases && new Parameter(biases);
  }

  forward(x: Tensor): Tensor {
    const { stride = 1, padding = 0, dilation = 1, groups = 1 } = this.config;
    return conv2d(
      x,
      this.weight.tensor,
      this.bias?.tensor ?? null,
      pair(stride),
      pair(padding),
      pair(dilation),
      groups,
    );
  }
}

export interface ConvTranspose2dConfig extends Conv2dConfig {
  readonly outputPadding?: Pair | undefined;
}

/** [N, inChannels, H, W] -> [N, outChannels, H', W'], the gradient of a convolution. Weight [I, O / groups, kH, kW]. */
export class ConvTranspose2d extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly config: ConvTranspose2dConfig;

  constructor(config: ConvTranspose2dConfig) {
    super();
    checkConfig("ConvTranspose2d", config);
    const { inChannels, outChannels, kernelSize, groups = 1, bias = true } = config;
    this.config = config;
    const [height, width] = pair(kernelSize, "ConvTranspose2d: kernelSize");
    const weight = empty([inChannels, outChannels / groups, height, width], config);
    const biases = bias ? empty([outChannels], config) : null;
    defaultInit_(weight, biases, (outChannels / groups) * height * width, config);
    this.weight = new Parameter(weight);
    this.bias = biases && new Parameter(biases);
  }

  forward(x: Tensor): Tensor {
    const { stride = 1, padding = 0, outputPadding = 0, groups = 1, dilation = 1 } = this.config;
    const [weight, bias] = [this.weight.tensor, this.bias?.tensor ?? null];
    return convTranspose2d(
      x,
      weight,
      bias,
      pair(stride),
      pair(padding),
      pair(outputPadding),
      groups,
      pair(dilation),
    );
  }
}

export interface LinearConfig extends LayerOptions {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias?: boolean | undefined;
}

/** [..., inFeatures] -> [..., outFeatures]. Weight [O, I]. */
export class Linear extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(readonly config: LinearConfig) {
    super();
    checkCounts("Linear", config, "inFeatures", "outFeatures");
    const { inFeatures, outFeatures, bias = true } = config;
    const weight = empty([outFeatures, inFeatures], config);
    const biases = bias ? empty([outFeatures], config) : null;
    defaultInit_(weight, biases, inFeatures, config);
    this.weight = new Parameter(weight);
    this.bias = biases && new Parameter(biases);
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight.tensor, this.bias?.tensor ?? null);
  }
}
