import { type OpResult, type OpValue, type Recorder, Tensor } from "@sepc/engine";

/** What one layer costs in one call. */
export interface LayerCost {
  /** Name of the layer's weight in the network; "" when it is none of its parameters. */
  readonly weight: string;
  /** Multiply-adds: a multiplication with its addition counts once, biases not at all (Appendix 1). */
  readonly multiplyAdds: number;
  /** Of these, bilinear interpolation: 8 for each sample of a deformable kernel. */
  readonly sampling: number;
  /** Height and width of the map that came in. */
  readonly from: readonly [number, number];
  /** Height and width of the map that went out. */
  readonly to: readonly [number, number];
}

/** Rows of a weight and the parameter they came from. */
interface Rows {
  readonly weight: string;
  readonly count: number;
}

const samplingCost = 8;
const area = (map: Tensor): number => map.shape.slice(2).reduce((product, size) => product * size, 1);
const sizeOf = ({ shape }: Tensor): [number, number] => [shape[2] ?? 1, shape[3] ?? 1];

/**
 * Notes the cost of every convolution that passes the door, under the name of its weight. Weights that are parts of
 * parameters side by side, as PConv's are, are told apart again.
 */
export class LayerCosts implements Recorder {
  readonly layers: LayerCost[] = [];
  readonly #rows = new Map<Tensor, readonly Rows[]>();

  constructor(weights: Iterable<readonly [name: string, weight: Tensor]>) {
    for (const [name, weight] of weights)
      this.#rows.set(weight, [{ weight: name, count: weight.shape[0] ?? 1 }]);
  }

  record(name: string, _schema: unknown, values: readonly OpValue[], result: OpResult): void {
    if (!(result instanceof Tensor)) return;
    const [first, second, third, fourth] = values;
    if (name === "aten::conv2d") this.#convolution(first as Tensor, second as Tensor, result);
    else if (name === "sepc::deform_conv2d") this.#deformed(first as Tensor, second as Tensor, result);
    else if (name === "aten::cat" && (second ?? 0) === 0) this.#joined(first as readonly Tensor[], result);
    else if (name === "aten::narrow" && second === 0)
      this.#cut(first as Tensor, third as number, fourth as number, result);
  }

  /** A weight made of others keeps their names, as long as all of it has one. */
  #joined(parts: readonly Tensor[], whole: Tensor): void {
    const rows = parts.map((part) => this.#rows.get(part));
    if (rows.every((known) => known !== undefined)) this.#rows.set(whole, rows.flat());
  }

  #cut(whole: Tensor, start: number, length: number, part: Tensor): void {
    const rows = this.#rows.get(whole);
    if (rows === undefined) return;
    let at = 0;
    const kept: Rows[] = [];
    for (const { weight, count } of rows) {
      const inside = Math.min(at + count, start + length) - Math.max(at, start);
      if (inside > 0) kept.push({ weight, count: inside });
      at += count;
    }
    this.#rows.set(part, kept);
  }

  #convolution(input: Tensor, weight: Tensor, output: Tensor, sampling = 0): void {
    const rows = this.#rows.get(weight) ?? [{ weight: "", count: weight.shape[0] ?? 1 }];
    const perRow = (weight.numel / (weight.shape[0] ?? 1)) * area(output) * (output.shape[0] ?? 1);
    const all = rows.reduce((sum, { count }) => sum + count, 0);
    for (const { weight: name, count } of rows) {
      const share = (sampling * count) / all;
      this.layers.push({
        weight: name,
        multiplyAdds: perRow * count + share,
        sampling: share,
        from: sizeOf(input),
        to: sizeOf(output),
      });
    }
  }

  #deformed(input: Tensor, weight: Tensor, output: Tensor): void {
    const [images = 1, channels = 1] = input.shape;
    const taps = (weight.shape[2] ?? 1) * (weight.shape[3] ?? 1);
    this.#convolution(input, weight, output, samplingCost * images * channels * taps * area(output));
  }
}
