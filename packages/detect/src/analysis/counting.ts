import { levelSizes } from "@sepc/core";
import { check, empty, inferenceMode, onDevice, scope, setRecorder } from "@sepc/engine";
import { buildDetector, type DetectorConfig, type DetectorNetwork } from "../detectors/index.js";
import { openOperators } from "../ops/library.js";
import { type LayerCost, LayerCosts } from "./layerCosts.js";

export type Size = readonly [height: number, width: number];

/** Everything that was counted of one network. */
export interface Counted {
  readonly layers: readonly LayerCost[];
  /** Parameter names and numbers of elements. */
  readonly parameters: ReadonlyMap<string, number>;
  /** Cells of each level of the pyramid, finest first. */
  readonly sizes: readonly Size[];
  readonly strides: readonly number[];
  /** Cells by which the maps that predictions read are smaller than their level. */
  readonly cut: number;
}

/** Runs a network on the device "meta" and notes what passes. */
function runOnMeta(network: DetectorNetwork, [height, width]: Size): readonly LayerCost[] {
  openOperators();
  network.eval();
  const costs = new LayerCosts([...network.namedParameters()].map(([name, { tensor }]) => [name, tensor]));
  const before = setRecorder(costs);
  try {
    scope(() => {
      inferenceMode(() => network.forward(empty([1, 3, height, width], { device: "meta" })));
    });
  } finally {
    setRecorder(before);
  }
  return costs.layers;
}

/**
 * Counts what one image of `size` pixels costs.
 * @throws EngineError BAD_ARGUMENT for a picture too small to tell its levels apart.
 */
export function countNetwork(config: DetectorConfig, classes: number, size: Size): Counted {
  const network = onDevice("meta", () => buildDetector(config, classes));
  try {
    const { priors, cut = 0 } = network.decodeSpec;
    const sizes = levelSizes(priors.strides, size);
    check(
      new Set(sizes.map(String)).size === sizes.length,
      () =>
        `flops: expected a picture on which all levels differ in size, got ${size.join("x")}, whose levels have ` +
        `${sizes.map(([h, w]) => `${h}x${w}`).join(", ")} cells; take a larger one`,
    );
    const parameters = [...network.namedParameters()];
    return {
      parameters: new Map(parameters.map(([name, { tensor }]) => [name, tensor.numel])),
      layers: runOnMeta(network, size),
      sizes,
      strides: priors.strides,
      cut,
    };
  } finally {
    network.free();
  }
}

export const sum = (values: Iterable<number>): number =>
  [...values].reduce((total, value) => total + value, 0);

/** Multiply-adds of these layers. */
export const costOf = (layers: readonly LayerCost[]): number =>
  sum(layers.map(({ multiplyAdds }) => multiplyAdds));

/** The part of a network that a parameter belongs to. */
export function partOf(name: string): string {
  const [first = "", second = ""] = name.split(".");
  if (first === "backbone") return second.startsWith("layer") ? `backbone.${second}` : "backbone.stem";
  return first === "head" ? "predictions" : first;
}

/** The place of a map's size among the levels, -1 where it is none of them. */
const levelOf = (counted: Counted, [height, width]: Size, cut = 0): number =>
  counted.sizes.findIndex(([h, w]) => h - cut === height && w - cut === width);

/**
 * The level that a layer works for, 0 the finest: of the neck the one it makes, of the tower the one it contributes to
 * (a pyramid convolution's outer kernels read a neighbour of it), of the predictions the one they read.
 */
export function targetLevel(counted: Counted, { weight, from, to }: LayerCost): number {
  if (weight.startsWith("neck.")) return levelOf(counted, to);
  if (weight.startsWith("head.")) return levelOf(counted, from, counted.cut);
  const kernel = /^(.*\.kernels)\.(\d+)\./.exec(weight);
  if (kernel === null) return levelOf(counted, from);
  const [, stack, place] = kernel as unknown as [string, string, string];
  const kernels = [...counted.parameters.keys()].filter(
    (name) => name.startsWith(`${stack}.`) && /^\d+\.weight$/.test(name.slice(stack.length + 1)),
  );
  return levelOf(counted, from) + Number(place) - (kernels.length >> 1);
}
