import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  backward,
  keep,
  nn,
  noGrad,
  onDevice,
  ones,
  optim,
  scope,
  type Tensor,
  tensor,
  tensorOp,
} from "../../src/index.js";

interface Flat {
  shape: number[];
  values: number[];
}
type Named = Record<string, Flat>;
interface Case {
  start: Named;
  steps: { x: Flat; g: Flat }[];
  output: Flat;
  inputGradient: Flat;
  gradients: Named;
  end: Named;
  evaluated: Flat;
}
const golden = JSON.parse(readFileSync(new URL("fixtures/layers.json", import.meta.url), "utf8")) as {
  layers: Record<string, Case>;
};

const sum = tensorOp("aten::sum");
const mul = tensorOp("aten::mul.Tensor");
const reshape = tensorOp("aten::reshape");
const toDType = tensorOp("aten::to.dtype");
const detach = tensorOp("aten::detach");
const load = ({ shape, values }: Flat): Tensor => reshape(tensor(values, { dtype: "float64" }), shape);

const layers: Record<string, () => nn.Layer> = {
  Conv2d: () => new nn.Conv2d({ inChannels: 4, outChannels: 2, kernelSize: 3, stride: 2, padding: 1 }),
  "Conv2d grouped": () =>
    new nn.Conv2d({
      inChannels: 4,
      outChannels: 4,
      kernelSize: [1, 3],
      padding: [0, 2],
      dilation: [1, 2],
      groups: 2,
      bias: false,
    }),
  ConvTranspose2d: () =>
    new nn.ConvTranspose2d({
      inChannels: 4,
      outChannels: 2,
      kernelSize: 3,
      stride: 2,
      padding: 1,
      outputPadding: 1,
      groups: 2,
    }),
  Linear: () => new nn.Linear({ inFeatures: 3, outFeatures: 2 }),
  BatchNorm2d: () => new nn.BatchNorm2d({ numFeatures: 4, momentum: 0.2 }),
  "BatchNorm2d plain": () => new nn.BatchNorm2d({ numFeatures: 4, affine: false, trackRunningStats: false }),
  GroupNorm: () => new nn.GroupNorm({ numGroups: 2, numChannels: 4 }),
  LayerNorm: () => new nn.LayerNorm({ normalizedShape: [2, 3] }),
  MaxPool2d: () => new nn.MaxPool2d({ kernelSize: 3, stride: 2, padding: 1, ceilMode: true }),
  AvgPool2d: () => new nn.AvgPool2d({ kernelSize: [2, 3], stride: 2, padding: 1 }),
  AdaptiveAvgPool2d: () => new nn.AdaptiveAvgPool2d([2, 3]),
  "Upsample nearest": () => new nn.Upsample({ scaleFactor: 2 }),
  "Upsample bilinear": () => new nn.Upsample({ size: [5, 4], mode: "bilinear" }),
  "Upsample corners": () => new nn.Upsample({ scaleFactor: 2, mode: "bilinear", alignCorners: true }),
  LeakyReLU: () => new nn.LeakyReLU(0.2),
  SiLU: () => new nn.SiLU(),
};

function expectClose(what: string, got: Tensor, want: Flat): void {
  expect(got.shape, what).toEqual(want.shape);
  const values = toDType(got, "float64").toTypedArray() as Float64Array;
  for (const [i, value] of values.entries())
    expect(value, `${what}[${i}]`).toBeCloseTo(want.values[i] as number, 10);
}

/** Takes the golden's training steps; returns the last input and output. */
function train(layer: nn.Layer, steps: Case["steps"]): { x: Tensor; y: Tensor } {
  const params = layer.parameters();
  const optimizer = params.length > 0 ? new optim.SGD(params, { lr: 0.1 }) : null;
  let last: { x: Tensor; y: Tensor } | undefined;
  for (const { x: input, g } of steps) {
    const x = load(input);
    x.requiresGrad = true;
    layer.zeroGrad();
    const y = layer.forward(x);
    backward(sum(mul(y, load(g))));
    optimizer?.step();
    last = { x, y };
  }
  return last as { x: Tensor; y: Tensor };
}

describe("layers train as PyTorch's", () => {
  test("every case of the golden file has a layer here", () => {
    expect(Object.keys(layers).sort()).toEqual(Object.keys(golden.layers).sort());
  });

  test.each(Object.entries(golden.layers))("%s", (name, want) =>
    scope(() => {
      const layer = (layers[name] as () => nn.Layer)().to({ dtype: "float64" });
      layer.loadStateDict(new Map(Object.entries(want.start).map(([key, flat]) => [key, load(flat)])));
      const { x, y } = train(layer, want.steps);
      expectClose("output", y, want.output);
      expectClose("input gradient", x.grad as Tensor, want.inputGradient);
      for (const [key, parameter] of layer.namedParameters())
        expectClose(`gradient of ${key}`, parameter.grad as Tensor, want.gradients[key] as Flat);
      const end = layer.stateDict();
      expect([...end.keys()]).toEqual(Object.keys(want.end));
      for (const [key, value] of end) expectClose(key, value, want.end[key] as Flat);
      expectClose(
        "in evaluation",
        noGrad(() => layer.eval().forward(detach(x))),
        want.evaluated,
      );
      layer.free();
    }));
});

test("a layer made inside a scope outlives it", () => {
  const layer = scope(() => new nn.Linear({ inFeatures: 2, outFeatures: 1 }));
  expect(layer.weight.tensor.isFreed).toBe(false);
  layer.free();
  expect(layer.weight.tensor.isFreed).toBe(true);
});

test("dropout is the identity in evaluation, and keeps the mean in training", () => {
  const x = keep(tensor(new Array<number>(20_000).fill(1)));
  const dropout = new nn.Dropout(0.25);
  const values = [...(dropout.forward(x).toTypedArray() as Float32Array)];
  expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
  expect(values.filter((value) => value === 0).length / values.length).toBeCloseTo(0.25, 1);
  expect(dropout.eval().forward(x).tolist()).toEqual(x.tolist());
});

test("groups that do not divide the channels are refused", () => {
  expect(() => new nn.Conv2d({ inChannels: 3, outChannels: 4, kernelSize: 1, groups: 2 })).toThrow(
    /multiples of groups, got inChannels=3, outChannels=4, groups=2/,
  );
  expect(() => new nn.GroupNorm({ numGroups: 3, numChannels: 4 })).toThrow(/multiple of numGroups/);
});

test("group normalisation keeps shapes where there are no values", () => {
  const y = onDevice("meta", () =>
    new nn.GroupNorm({ numGroups: 2, numChannels: 4 }).forward(ones([1, 4, 3, 3])),
  );
  expect([y.device, y.shape]).toEqual(["meta", [1, 4, 3, 3]]);
});
