import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { backward, nn, scope, type Tensor, tensor, tensorOp } from "../../src/index.js";

interface Stored {
  shape: number[];
  values: number[];
}
interface Golden {
  state: Record<string, Stored>;
  inputs: Stored[];
  outputs: Stored[];
  gradients: Record<string, Stored>;
  buffers: Record<string, Stored>;
  evaluated: Stored;
  cumulative: Record<string, Stored>;
}
const golden = JSON.parse(readFileSync(new URL("fixtures/network.json", import.meta.url), "utf8")) as Golden;
const reshape = tensorOp("aten::reshape");
const restore = ({ values, shape }: Stored): Tensor => reshape(tensor(Float64Array.from(values)), shape);
const dtype = "float64";

/** The network of fixtures/make_network.py. */
class Network extends nn.Layer {
  readonly conv1 = new nn.Conv2d({
    inChannels: 3,
    outChannels: 4,
    kernelSize: 3,
    stride: 2,
    padding: 1,
    bias: false,
    dtype,
  });
  readonly bn1 = new nn.BatchNorm2d({ numFeatures: 4, eps: 1e-3, momentum: 0.3, dtype });
  readonly layer1 = new nn.Sequential(
    new nn.Conv2d({
      inChannels: 4,
      outChannels: 6,
      kernelSize: [3, 1],
      padding: [2, 0],
      dilation: [2, 1],
      groups: 2,
      dtype,
    }),
    new nn.GroupNorm({ numGroups: 3, numChannels: 6, dtype }),
    new nn.SiLU(),
    new nn.ConvTranspose2d({
      inChannels: 6,
      outChannels: 4,
      kernelSize: 3,
      stride: 2,
      padding: 1,
      outputPadding: 1,
      groups: 2,
      dtype,
    }),
  );
  readonly norm = new nn.LayerNorm({ normalizedShape: [4, 4, 4], dtype });
  readonly head = [
    new nn.Linear({ inFeatures: 4, outFeatures: 5, dtype }),
    new nn.Linear({ inFeatures: 5, outFeatures: 2, dtype }),
  ] as const;
  readonly #start = new nn.Sequential(new nn.ReLU(), new nn.MaxPool2d({ kernelSize: 2, ceilMode: true }));
  readonly #end = new nn.Sequential(
    new nn.Upsample({ scaleFactor: 2, mode: "bilinear" }),
    new nn.AvgPool2d({ kernelSize: 8 }),
    new nn.Flatten(),
    new nn.LeakyReLU(0.1),
    this.head[0],
    new nn.Sigmoid(),
    this.head[1],
  );

  forward(x: Tensor): Tensor {
    const features = this.layer1.forward(this.#start.forward(this.bn1.forward(this.conv1.forward(x))));
    return this.#end.forward(this.norm.forward(new nn.AdaptiveAvgPool2d(4).forward(features)));
  }
}

function expectClose(got: Tensor, want: Stored, name: string): void {
  expect(got.shape, name).toEqual(want.shape);
  const values = Array.from(got.toTypedArray() as ArrayLike<number | bigint>, Number);
  for (const [i, value] of values.entries()) {
    const expected = want.values[i] as number;
    const apart = Math.abs(value - expected);
    if (!(apart <= 1e-11 + 1e-9 * Math.abs(expected)))
      expect.fail(`${name}[${i}]: expected ${expected}, got ${value}`);
  }
}

describe("a network of most layers equals PyTorch's", () => {
  const network = new Network();

  test("its names are PyTorch's, in the same order", () => {
    expect([...network.stateDict().keys()]).toEqual(Object.keys(golden.state));
  });

  test("outputs, gradients and running statistics over three training steps, then evaluation", () => {
    network.loadStateDict(
      new Map(Object.entries(golden.state).map(([name, stored]) => [name, restore(stored)])),
    );
    scope(() => {
      for (const [i, input] of golden.inputs.entries()) {
        const y = network.forward(restore(input));
        expectClose(y, golden.outputs[i] as Stored, `output ${i}`);
        backward(tensorOp("aten::sum")(tensorOp("aten::mul.Tensor")(y, y)));
      }
    });
    const parameters = [...network.namedParameters()];
    expect(parameters.map(([name]) => name)).toEqual(Object.keys(golden.gradients));
    for (const [name, parameter] of parameters) {
      expectClose(parameter.grad as Tensor, golden.gradients[name] as Stored, `gradient of ${name}`);
    }
    const buffers = [...network.namedBuffers()];
    expect(buffers.map(([name]) => name)).toEqual(Object.keys(golden.buffers));
    for (const [name, buffer] of buffers) expectClose(buffer.tensor, golden.buffers[name] as Stored, name);
    expectClose(network.eval().forward(restore(golden.inputs[0] as Stored)), golden.evaluated, "evaluated");
  });

  test("momentum null averages all batches alike", () => {
    const norm = new nn.BatchNorm2d({ numFeatures: 3, momentum: null, dtype });
    for (const input of golden.inputs) norm.forward(restore(input));
    for (const [name, buffer] of norm.namedBuffers())
      expectClose(buffer.tensor, golden.cumulative[name] as Stored, name);
  });
});
