import { scope } from "@sepc/engine";
import type { DetectorConfig } from "../detectors/index.js";
import { costOf, countNetwork, partOf, type Size, sum } from "./counting.js";

export interface ModelCost {
  readonly parameters: number;
  /** Of one image. */
  readonly multiplyAdds: number;
}

const add = (a: ModelCost, b: ModelCost): ModelCost => ({
  parameters: a.parameters + b.parameters,
  multiplyAdds: a.multiplyAdds + b.multiplyAdds,
});

/**
 * What many detectors cost. What they share is counted once: each backbone, and each of what stands on backbones with
 * the same channels.
 */
export class ModelCosts {
  readonly #parts = new Map<string, ModelCost>();

  /** @param size pixels of the network's input */
  constructor(
    readonly size: Size,
    readonly classes = 80,
  ) {}

  of(config: DetectorConfig): ModelCost {
    const { backbone, ...rest } = config;
    const { depth, width } = backbone;
    const below = JSON.stringify(backbone);
    const above = JSON.stringify([rest, depth < 50, width]);
    if (!this.#parts.has(below) || !this.#parts.has(above)) this.#count(config, below, above);
    return add(this.#parts.get(below) as ModelCost, this.#parts.get(above) as ModelCost);
  }

  #count(config: DetectorConfig, below: string, above: string): void {
    const { layers, parameters } = scope(() => countNetwork(config, this.classes, this.size));
    const cost = (wanted: (name: string) => boolean): ModelCost => ({
      parameters: sum([...parameters].filter(([name]) => wanted(name)).map(([, numel]) => numel)),
      multiplyAdds: costOf(layers.filter(({ weight }) => wanted(weight))),
    });
    const inBackbone = (name: string): boolean => partOf(name).startsWith("backbone.");
    this.#parts.set(below, cost(inBackbone));
    this.#parts.set(
      above,
      cost((name) => !inBackbone(name)),
    );
  }
}
