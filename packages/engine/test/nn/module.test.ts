import { describe, expect, test } from "vitest";
import {
  backward,
  type EngineError,
  Generator,
  manualSeed,
  nn,
  ones,
  scope,
  type Tensor,
  tensor,
  tensorOp,
  zeros,
} from "../../src/index.js";

const sum = tensorOp("aten::sum");

class Block extends nn.Module {
  readonly conv = new nn.Conv2d({ inChannels: 2, outChannels: 4, kernelSize: 3, padding: 1, bias: false });
  readonly bn = new nn.BatchNorm2d({ numFeatures: 4 });

  forward(x: Tensor): Tensor {
    return this.bn.forward(this.conv.forward(x));
  }
}

class Net extends nn.Module {
  readonly stem = new nn.Sequential(
    new nn.Conv2d({ inChannels: 1, outChannels: 2, kernelSize: 1 }),
    new nn.ReLU(),
  );
  readonly blocks = [new Block(), new Block()];
  readonly fc = new nn.Linear({ inFeatures: 4, outFeatures: 3 });
  readonly anchors = new nn.Buffer(ones([2]), false);
  readonly #cache = new nn.Parameter(ones([1]));

  forward(x: Tensor): Tensor {
    return this.blocks[0]?.forward(this.stem.forward(x)) ?? this.#cache.tensor;
  }
}

const names = [
  "stem.0.weight",
  "stem.0.bias",
  ...[0, 1].flatMap((i) =>
    [
      "conv.weight",
      "bn.weight",
      "bn.bias",
      "bn.running_mean",
      "bn.running_var",
      "bn.num_batches_tracked",
    ].map((name) => `blocks.${i}.${name}`),
  ),
  "fc.weight",
  "fc.bias",
];

describe("names and state dicts", () => {
  test("are the paths of fields, PyTorch's where they differ; private and non-persistent ones stay out", () => {
    const net = new Net();
    expect([...net.stateDict().keys()]).toEqual(names);
    expect([...net.namedBuffers()].map(([name]) => name)).toContain("anchors");
    expect([...net.namedModules()].map(([name]) => name)).toEqual(
      expect.arrayContaining(["", "stem", "stem.0", "blocks.1.bn", "fc"]),
    );
  });

  test("a loaded copy computes the same", () => {
    const [a, b] = [new Net().eval(), new Net().eval()];
    b.loadStateDict(a.stateDict());
    const x = ones([1, 1, 4, 4]);
    expect(b.forward(x).tolist()).toEqual(a.forward(x).tolist());
  });

  test("strict loading names everything that does not fit, and changes nothing", () => {
    const net = new Net();
    const before = net.fc.bias?.tensor.tolist();
    const dict = new Map(net.stateDict());
    dict.delete("stem.0.bias");
    dict.set("fc.weight", zeros([3, 5]));
    dict.set("fc.bias", ones([3]));
    dict.set("head.weight", ones([1]));
    let message = "";
    try {
      net.loadStateDict(dict);
    } catch (error) {
      message = (error as EngineError).message;
      expect((error as EngineError).code).toBe("STATE_MISMATCH");
    }
    expect(message).toContain("missing: stem.0.bias");
    expect(message).toContain("unexpected: head.weight");
    expect(message).toContain("misshaped: fc.weight: expected [3, 4], got [3, 5]");
    expect(net.fc.bias?.tensor.tolist()).toEqual(before);
    const report = net.loadPartial(dict);
    expect(report.missing).toEqual(["stem.0.bias"]);
    expect(report.loaded).toContain("fc.bias");
    expect(net.fc.bias?.tensor.tolist()).toEqual([1, 1, 1]);
  });
});

describe("switches", () => {
  test("train and eval reach every layer; running statistics move in training alone", () => {
    manualSeed(0); // some weights make every ReLU before the normalisation 0, whose mean cannot move
    const net = new Net();
    const block = net.blocks[0] as Block;
    const mean = (): unknown => block.bn.runningMean?.tensor.tolist();
    const x = tensor([
      [
        [
          [1, 2],
          [3, 4],
        ],
      ],
    ]);
    const start = mean();
    net.eval().forward(x);
    expect(mean()).toEqual(start);
    net.train().forward(x);
    expect(mean()).not.toEqual(start);
    expect(block.bn.numBatchesTracked?.tensor.item()).toBe(1);
  });

  test("frozen parameters get no gradient", () => {
    const net = new Net();
    net.stem.freeze();
    backward(sum(net.forward(ones([2, 1, 4, 4]))));
    const [stem] = net.stem.layers;
    expect((stem as nn.Conv2d).weight.grad).toBeNull();
    expect((net.blocks[0] as Block).bn.bias?.grad).not.toBeNull();
  });

  test("to changes floating-point tensors, keeps gradients on and whole numbers whole", () => {
    const net = new Net().to({ dtype: "float64" });
    const dtypes = new Map([...net.stateDict()].map(([name, { dtype }]) => [name, dtype]));
    expect(dtypes.get("fc.weight")).toBe("float64");
    expect(dtypes.get("blocks.0.bn.running_var")).toBe("float64");
    expect(dtypes.get("blocks.0.bn.num_batches_tracked")).toBe("int64");
    expect(net.fc.weight.requiresGrad).toBe(true);
  });

  test("parameters outlive the scope that made them, and a shared one counts once", () => {
    const layer = scope(() => new nn.Linear({ inFeatures: 2, outFeatures: 2 })) as nn.Linear;
    expect(layer.weight.tensor.isFreed).toBe(false);
    class Twice extends nn.Module {
      readonly a = layer;
      readonly b = layer;
    }
    expect(new Twice().parameters()).toHaveLength(2);
  });
});

describe("first weights", () => {
  const statistics = (values: ArrayLike<number>): { mean: number; deviation: number; largest: number } => {
    const all = Array.from(values);
    const mean = all.reduce((a, b) => a + b, 0) / all.length;
    const deviation = Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length);
    return { mean, deviation, largest: Math.max(...all.map(Math.abs)) };
  };
  const of = (weight: Tensor): ReturnType<typeof statistics> =>
    statistics(weight.toTypedArray() as Float32Array);

  test("of layers are uniform within 1/sqrt(fan in), as PyTorch's", () => {
    const generator = new Generator(1);
    const { weight } = new nn.Conv2d({ inChannels: 16, outChannels: 64, kernelSize: 3, generator });
    const bound = 1 / Math.sqrt(16 * 9);
    const { deviation, largest } = of(weight.tensor);
    expect(largest).toBeLessThanOrEqual(bound);
    expect(deviation).toBeCloseTo(bound / Math.sqrt(3), 3);
  });

  test("by Kaiming, Xavier and prior probability", () => {
    const generator = new Generator(2);
    const weight = zeros([64, 32, 3, 3]);
    expect(
      of(nn.init.kaimingNormal_(weight, { mode: "fanOut", nonlinearity: "relu", generator })).deviation,
    ).toBeCloseTo(Math.sqrt(2 / (64 * 9)), 3);
    expect(
      of(nn.init.kaimingUniform_(weight, { nonlinearity: "relu", generator })).largest,
    ).toBeLessThanOrEqual(Math.sqrt(6 / (32 * 9)) + 1e-7);
    expect(of(nn.init.xavierUniform_(weight, { generator })).largest).toBeLessThanOrEqual(
      Math.sqrt(6 / (96 * 9)) + 1e-7,
    );
    expect(of(nn.init.xavierNormal_(weight, { generator })).deviation).toBeCloseTo(
      Math.sqrt(2 / (96 * 9)),
      3,
    );
    expect(nn.init.biasByPriorProbability_(zeros([1]), 0.01).item()).toBeCloseTo(-Math.log(99), 5);
    expect(() => nn.init.biasByPriorProbability_(zeros([1]), 1)).toThrow(/between 0 and 1/);
  });
});

describe("misuse is told in one line", () => {
  const layer = new nn.Linear({ inFeatures: 2, outFeatures: 1 });

  test("of state dicts: no Map, and values that are no tensors", () => {
    const dict = { weight: zeros([1, 2]), bias: zeros([1]) };
    expect(() => layer.loadStateDict(dict as never)).toThrow(/Map of tensors by name, got a plain object/);
    expect(() => layer.loadPartial(null as never)).toThrow(/Map of tensors by name, got null/);
    const mixed = new Map<string, unknown>([
      ["weight", [[1, 2]]],
      ["bias", zeros([1])],
    ]);
    expect(() => layer.loadStateDict(mixed as never)).toThrow(/weight: expected \[1, 2\], got Array/);
    expect(layer.loadPartial(mixed as never)).toMatchObject({ loaded: ["bias"], missing: [] });
  });

  test("of parameters: gradients would not stop at a recorded result", () => {
    const x = ones([2], { requiresGrad: true });
    expect(() => new nn.Parameter(x.mul(2))).toThrow(/expected a leaf.*detach\(\)/);
    expect(new nn.Parameter(x.mul(2).detach()).tensor.isLeaf).toBe(true);
    expect(() => new nn.Buffer(3 as never)).toThrow(/Buffer: expected a Tensor, got number/);
  });

  test("of modules that lead back to themselves", () => {
    class Child extends nn.Module {
      constructor(readonly parent: nn.Module) {
        super();
      }
    }
    class Parent extends nn.Module {
      readonly child = new Child(this);
    }
    expect(() => new Parent().parameters()).toThrow(/child\.parent is a module above it; .*#private/);
    expect(() => new Parent().eval()).toThrow(/Parent\.train: the module is below itself; .*#private/);
  });

  test("of sizes and settings in PyTorch's positional form", () => {
    const loose = nn as unknown as Record<string, new (...settings: unknown[]) => nn.Layer>;
    const make =
      (name: string, ...settings: unknown[]) =>
      () =>
        new (loose[name] as new (...settings: unknown[]) => nn.Layer)(...settings);
    expect(make("Linear", 2, 3)).toThrow(
      /Linear: expected inFeatures to be a whole number, got undefined; all settings go in one object/,
    );
    expect(make("Conv2d", { inChannels: 1, outChannels: 1 })).toThrow(/kernelSize: expected a number or two/);
    expect(make("MaxPool2d", 2)).toThrow(/MaxPool2d: kernelSize: expected a number or two/);
    expect(make("Sequential", [new nn.ReLU()])).toThrow(/spread it/);
    expect(make("Upsample", {})).toThrow(/size or scaleFactor, got neither/);
    expect(make("Upsample", { size: 4, scaleFactor: 2 })).toThrow(/size or scaleFactor, got both/);
    expect(make("Upsample", { scaleFactor: 2, mode: "bicubic" })).toThrow(
      /"nearest" or "bilinear", got "bicubic"/,
    );
    expect(make("Upsample", { scaleFactor: 2, alignCorners: true })).toThrow(
      /alignCorners needs mode "bilinear"/,
    );
    expect(() => nn.init.kaimingNormal_(ones([2, 2]), { mode: "fan_out" as never })).toThrow(
      /kaimingNormal_: expected mode fanIn or fanOut, got fan_out/,
    );
    expect(() => nn.init.xavierUniform_(ones([2]))).toThrow(/xavierUniform_: expected a weight of two/);
  });
});

test("to leaves complex buffers as they are", () => {
  class Spectrum extends nn.Module {
    readonly phase = new nn.Buffer(tensorOp("aten::complex")(ones([2]), ones([2])));
    readonly weight = new nn.Parameter(ones([2]));
  }
  const { phase, weight } = new Spectrum().to({ dtype: "bfloat16" });
  expect([phase.tensor.dtype, weight.tensor.dtype]).toEqual(["complex64", "bfloat16"]);
});

test("one value a channel has no statistics, in evaluation without running ones neither", () => {
  const bn = new nn.BatchNorm2d({ numFeatures: 2, trackRunningStats: false }).eval();
  expect(() => bn.forward(ones([1, 2, 1, 1]))).toThrow(/more than one value a channel.*use a larger batch$/);
  expect(new nn.BatchNorm2d({ numFeatures: 2 }).eval().forward(ones([1, 2, 1, 1])).shape).toEqual([
    1, 2, 1, 1,
  ]);
});
