import { describe, expect, test } from "vitest";
import {
  backward,
  EngineError,
  liveTensors,
  nn,
  ones,
  scope,
  type Tensor,
  tensor,
  tensorOp,
  zeros,
} from "../../src/index.js";

const sum = tensorOp("aten::sum");

class Block extends nn.Layer {
  readonly convs = [1, 2].map(
    () => new nn.Conv2d({ inChannels: 2, outChannels: 2, kernelSize: 1, bias: false }),
  );
  readonly norm = new nn.BatchNorm2d({ numFeatures: 2 });
  readonly scale = new nn.Parameter(ones([1]));
  readonly anchors = new nn.Buffer(zeros([3]), false);
  readonly none = null;
  readonly #hidden = new nn.Linear({ inFeatures: 1, outFeatures: 1 });

  forward(x: Tensor): Tensor {
    return this.norm.forward(this.convs.reduce((y, conv) => conv.forward(y), x));
  }

  hidden(): nn.Linear {
    return this.#hidden;
  }
}

class Net extends nn.Layer {
  readonly layers = new nn.Sequential(new Block(), new nn.ReLU(), new Block());
  forward(x: Tensor): Tensor {
    return this.layers.forward(x);
  }
}

const blockNames = [
  "convs.0.weight",
  "convs.1.weight",
  "norm.weight",
  "norm.bias",
  "norm.running_mean",
  "norm.running_var",
  "norm.num_batches_tracked",
  "scale",
];
const detached = (dict: Map<string, Tensor>): Map<string, Tensor> =>
  new Map([...dict].map(([name, t]) => [name, tensorOp("aten::clone")(tensorOp("aten::detach")(t))]));
const values = (module: nn.Module): unknown => [...module.stateDict().values()].map((t) => t.tolist());

describe("names", () => {
  test("are paths of fields in order of declaration; private fields and unsaved buffers are left out", () => {
    expect([...new Block().stateDict().keys()]).toEqual(blockNames);
    expect([...new Net().stateDict().keys()]).toEqual(
      ["layers.0", "layers.2"].flatMap((prefix) => blockNames.map((name) => `${prefix}.${name}`)),
    );
    expect([...new Block().namedBuffers()].map(([name]) => name)).toContain("anchors");
  });

  test("of modules start at the network itself", () => {
    expect([...new Net().namedModules()].map(([name]) => name)).toEqual(
      [
        "",
        "layers",
        ...["layers.0", "layers.0.convs.0", "layers.0.convs.1", "layers.0.norm"],
        "layers.1",
      ].concat(["layers.2", "layers.2.convs.0", "layers.2.convs.1", "layers.2.norm"]),
    );
  });

  test("a layer in two places has two names in the state dict and one parameter", () => {
    const shared = new nn.Linear({ inFeatures: 2, outFeatures: 2 });
    const twice = new nn.Sequential(shared, shared);
    expect([...twice.stateDict().keys()]).toEqual(["0.weight", "0.bias", "1.weight", "1.bias"]);
    expect(twice.parameters()).toHaveLength(2);
    expect([...twice.namedModules()].map(([name]) => name)).toEqual(["", "0"]);
  });
});

describe("state dicts", () => {
  test("are the tensors themselves", () => {
    const block = new Block();
    nn.init.constant_(block.stateDict().get("scale") as Tensor, 7);
    expect(block.scale.tensor.tolist()).toEqual([7]);
  });

  test("load into another module, converting dtype", () => {
    const [from, into] = [new Block(), new Block().to({ dtype: "float64" })];
    from.forward(ones([2, 2, 3, 3]));
    into.loadStateDict(from.stateDict());
    expect(into.norm.weight?.tensor.dtype).toBe("float64");
    expect(values(into)).toEqual(values(from));
    expect(into.norm.numBatchesTracked?.tensor.item()).toBe(1);
  });

  test("that do not fit name every problem at once, and nothing is changed", () => {
    const block = new Block();
    const before = values(block);
    const dict = detached(new Block().stateDict());
    dict.delete("norm.weight");
    dict.delete("norm.running_var");
    dict.set("scale", zeros([2]));
    dict.set("fc.weight", zeros([1]));
    let error: unknown;
    try {
      block.loadStateDict(dict);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(EngineError);
    expect((error as EngineError).code).toBe("STATE_MISMATCH");
    for (const line of [
      "missing: norm.weight",
      "missing: norm.running_var",
      "unexpected: fc.weight",
      "misshaped: scale: expected [1], got [2]",
    ])
      expect((error as EngineError).message).toContain(line);
    expect(values(block)).toEqual(before);
  });

  test("loadPartial loads what fits and tells the rest", () => {
    const block = new Block();
    const dict = new Map([
      ["norm.bias", tensor([5, 6])],
      ["scale", zeros([2])],
      ["fc.weight", zeros([1])],
    ]);
    expect(block.loadPartial(dict)).toEqual({
      loaded: ["norm.bias"],
      missing: blockNames.filter((name) => name !== "norm.bias" && name !== "scale"),
      unexpected: ["fc.weight"],
      misshaped: ["scale: expected [1], got [2]"],
    });
    expect(block.norm.bias?.tensor.tolist()).toEqual([5, 6]);
  });

  test("of an older batch normalisation, without a count of batches, load with strict: false", () => {
    const block = new Block();
    const dict = detached(new Block().stateDict());
    dict.delete("norm.num_batches_tracked");
    expect(() => block.loadStateDict(dict)).toThrow(/missing: norm.num_batches_tracked/);
    block.loadStateDict(dict, { strict: false });
    dict.set("scale", zeros([2]));
    expect(() => block.loadStateDict(dict, { strict: false })).toThrow(/misshaped: scale/);
  });
});

describe("switches", () => {
  test("evaluation uses the running statistics and leaves them alone", () => {
    const norm = new nn.BatchNorm2d({ numFeatures: 1 }).eval();
    const y = norm.forward(tensor([[[[3, 5]]]]));
    expect(y.tolist()).toEqual([[[[expect.closeTo(3, 4), expect.closeTo(5, 4)]]]]);
    expect(norm.runningMean?.tensor.tolist()).toEqual([0]);
    expect(norm.numBatchesTracked?.tensor.item()).toBe(0);
  });

  test("a frozen module gets no gradients, those before it do", () => {
    const [first, second] = [1, 2].map(() => new nn.Linear({ inFeatures: 2, outFeatures: 2 })) as [
      nn.Linear,
      nn.Linear,
    ];
    second.freeze();
    backward(sum(second.forward(first.forward(ones([1, 2])))));
    expect(first.weight.grad).not.toBeNull();
    expect(second.weight.grad).toBeNull();
    second.unfreeze();
    expect(second.weight.requiresGrad).toBe(true);
  });

  test("zeroGrad drops gradients, or fills them with zeros", () => {
    const layer = new nn.Linear({ inFeatures: 2, outFeatures: 1 });
    backward(sum(layer.forward(ones([1, 2]))));
    layer.zeroGrad({ setToNull: false });
    expect(layer.weight.grad?.tolist()).toEqual([[0, 0]]);
    layer.zeroGrad();
    expect(layer.weight.grad).toBeNull();
  });

  test("to changes floating-point tensors alone and keeps what is trained", () => {
    const block = new Block();
    block.scale.requiresGrad = false;
    block.to({ dtype: "bfloat16" });
    expect(block.convs[0]?.weight.tensor.dtype).toBe("bfloat16");
    expect(block.norm.numBatchesTracked?.tensor.dtype).toBe("int64");
    expect(block.convs[0]?.weight.requiresGrad).toBe(true);
    expect(block.scale.requiresGrad).toBe(false);
    expect(block.convs[0]?.weight.tensor.isLeaf).toBe(true);
  });

  test("to takes gradients along", () => {
    const layer = new nn.Linear({ inFeatures: 2, outFeatures: 1, bias: false });
    backward(sum(layer.forward(ones([1, 2]))));
    layer.to({ dtype: "float64" });
    expect(layer.weight.grad?.dtype).toBe("float64");
    expect(layer.weight.grad?.tolist()).toEqual([[1, 1]]);
  });

  test("apply visits children before their parents", () => {
    const seen: string[] = [];
    new nn.Sequential(new nn.ReLU(), new nn.Identity()).apply((module) => seen.push(module.constructor.name));
    expect(seen).toEqual(["ReLU", "Identity", "Sequential"]);
  });
});

describe("memory", () => {
  test("parameters made in a scope outlive it, and free gives them back", () => {
    const before = liveTensors().tensors;
    const net = scope(() => ({ net: new Net() })).net;
    expect(net.layers.layers[0]?.training).toBe(true);
    const made = liveTensors().tensors - before;
    expect(made).toBe([...net.stateDict()].length + 2 + 4); // 2 unsaved buffers, 2 hidden layers of 2 parameters
    net.free();
    expect(liveTensors().tensors - before).toBe(4);
  });
});
