import { describe, expect, test } from "vitest";
import { type EngineError, liveTensors, nn, ones, optim, scope, tensor } from "../../src/index.js";

function parameter(values: number[], dtype: "float32" | "float64" = "float64"): nn.Parameter {
  return new nn.Parameter(tensor(values, { dtype }));
}
function push(params: readonly nn.Parameter[], optimizer: { step(): void }): void {
  scope(() => {
    for (const { tensor: p } of params) p.grad = ones(p.shape, { dtype: p.dtype });
    optimizer.step();
  });
}
const lists = (params: readonly nn.Parameter[]): unknown => params.map(({ tensor: p }) => p.tolist());

describe("optimiser state", () => {
  test("has flat names, is plain data otherwise, and can be loaded back into the same optimiser", () => {
    const params = [parameter([1, 2]), parameter([3])];
    const adam = new optim.Adam(params, { lr: 0.1 });
    push(params, adam);
    const saved = adam.stateDict();
    expect([...saved.tensors.keys()]).toEqual(
      [0, 1].flatMap((i) => ["mean", "square", "step"].map((name) => `${i}.${name}`)),
    );
    expect(JSON.parse(JSON.stringify(saved.groups))).toEqual(saved.groups);
    const means = saved.tensors.get("0.mean")?.tolist();
    adam.loadStateDict(saved);
    expect(adam.stateDict().tensors.get("0.mean")?.tolist()).toEqual(means);
  });

  test("takes the parameters' dtype when loaded", () => {
    const doubles = [parameter([1, 2])];
    const from = new optim.SGD(doubles, { lr: 0.1, momentum: 0.9 });
    push(doubles, from);
    const floats = [parameter([1, 2], "float32")];
    const into = new optim.SGD(floats, { lr: 0.1, momentum: 0.9 });
    into.loadStateDict(from.stateDict());
    push(floats, into);
    expect(floats[0]?.tensor.tolist()).toEqual([expect.closeTo(1 - 0.19, 6), expect.closeTo(2 - 0.19, 6)]);
  });

  test("of other groups, parameters or shapes is refused and nothing changes", () => {
    const params = [parameter([1, 2])];
    const sgd = new optim.SGD(params, { lr: 0.1, momentum: 0.9 });
    push(params, sgd);
    const { groups, tensors } = sgd.stateDict();
    const refuse = (state: typeof tensors, message: RegExp): void => {
      expect(() => sgd.loadStateDict({ groups, tensors: state })).toThrow(message);
      expect(sgd.stateDict().tensors.get("0.momentum")?.tolist()).toEqual([1, 1]);
    };
    refuse(new Map([["0.momentum", ones([3])]]), /"0.momentum": expected \[2\], got \[3\]/);
    refuse(new Map([["4.momentum", ones([2])]]), /"4.momentum" belongs to no parameter/);
    expect(() => sgd.loadStateDict({ groups: [], tensors })).toThrow(/expected 1 parameter groups, got 0/);
  });

  test("of another optimiser, or no state at all, is refused", () => {
    const params = [parameter([1, 2])];
    const adam = new optim.Adam(params);
    push(params, adam);
    const sgd = new optim.SGD(params, { lr: 0.1, momentum: 0.9 });
    expect(() => sgd.loadStateDict(adam.stateDict() as never)).toThrow(
      /SGD: expected a state with the options dampening, lr, .*, got betas, eps, lr, weightDecay/,
    );
    expect(() => sgd.loadStateDict(JSON.parse(JSON.stringify(sgd.stateDict())))).toThrow(/tensors: Map/);
    expect(sgd.groups[0]?.options.momentum).toBe(0.9);
  });

  test.each(["SGD", "Adam", "AdamW"] as const)("of %s follows a module to another dtype", (kind) => {
    const layer = new nn.Linear({ inFeatures: 2, outFeatures: 1, bias: false });
    const optimizer =
      kind === "SGD"
        ? new optim.SGD(layer.parameters(), { lr: 0.1, momentum: 0.9 })
        : new optim[kind](layer.parameters());
    push(layer.parameters(), optimizer);
    const before = liveTensors().tensors;
    layer.to({ dtype: "bfloat16" });
    push(layer.parameters(), optimizer);
    const { tensors } = optimizer.stateDict();
    expect(tensors.get(kind === "SGD" ? "0.momentum" : "0.mean")?.dtype).toBe("bfloat16");
    expect(liveTensors().tensors).toBe(before);
  });

  test("outlives the scope of the step, and free gives it back", () => {
    const params = [parameter([1, 2])];
    const adamw = new optim.AdamW(params);
    const before = liveTensors().tensors;
    push(params, adamw);
    const held = liveTensors().tensors - before;
    expect(held).toBe(3);
    for (let i = 0; i < 200; i++) push(params, adamw);
    expect(liveTensors().tensors - before).toBe(held);
    adamw.free();
    expect(liveTensors().tensors - before).toBe(0);
  });
});

describe("steps", () => {
  test("pass over parameters without gradients", () => {
    const params = [parameter([1]), parameter([1])];
    const sgd = new optim.SGD(params, { lr: 1, weightDecay: 0.5 });
    (params[0] as nn.Parameter).tensor.grad = ones([1], { dtype: "float64" });
    sgd.step();
    expect(lists(params)).toEqual([[-0.5], [1]]);
  });

  test.each(["SGD", "Adam", "AdamW"] as const)("%s takes parameters of several dtypes", (kind) => {
    const mixed = [parameter([1, 2], "float32"), parameter([1, 2], "float64")];
    const optimizer = new optim[kind](mixed, { lr: 0.1, weightDecay: 0.1 });
    for (let i = 0; i < 3; i++) push(mixed, optimizer);
    const [floats, doubles] = lists(mixed) as [number[], number[]];
    expect(floats).toEqual(doubles.map((value) => expect.closeTo(value, 5)));
  });

  test("zeroGrad drops gradients, or fills them with zeros", () => {
    const params = [parameter([1])];
    const sgd = new optim.SGD(params, { lr: 1 });
    push(params, sgd);
    sgd.zeroGrad({ setToNull: false });
    expect(params[0]?.grad?.tolist()).toEqual([0]);
    sgd.zeroGrad();
    expect(params[0]?.grad).toBeNull();
  });
});

describe("schedulers", () => {
  const rated = (...rates: number[]): optim.SGD =>
    new optim.SGD(
      rates.map((lr) => ({ params: [parameter([1])], options: { lr } })),
      { lr: 1 },
    );

  test("keep every group's base rate", () => {
    const scheduler = new optim.Scheduler(rated(1, 0.1), optim.stepSchedule(2, 0.5));
    const seen = Array.from({ length: 5 }, () => {
      const { rates } = scheduler;
      scheduler.step();
      return rates;
    });
    expect(seen.map(([first]) => first)).toEqual([1, 1, 0.5, 0.5, 0.25]);
    expect(seen.map(([, second]) => second)).toEqual(
      [0.1, 0.1, 0.05, 0.05, 0.025].map((v) => expect.closeTo(v, 12)),
    );
  });

  test("refuse what would make the rates NaN", () => {
    expect(() => new optim.Scheduler(rated(1), () => Number.NaN)).toThrow(/finite factor >= 0, got NaN at 0/);
    const scheduler = new optim.Scheduler(rated(1), optim.stepSchedule(2));
    expect(() => scheduler.goTo(-1)).toThrow(/a step from 0, a whole number, got -1/);
    expect(() => scheduler.loadStateDict({} as never)).toThrow(/expected a state of stateDict/);
    expect(scheduler.rates).toEqual([1]);
  });

  test("resume after the optimiser's own rates were restored", () => {
    const first = new optim.Scheduler(rated(1), optim.linearWarmup(10, 0.1));
    for (let i = 0; i < 4; i++) first.step();
    const resumed = rated(...first.rates);
    const second = new optim.Scheduler(resumed, optim.linearWarmup(10, 0.1));
    second.loadStateDict(JSON.parse(JSON.stringify(first.stateDict())));
    expect(second.rates).toEqual(first.rates);
    expect(second.steps).toBe(4);
    const refused = (): void => second.loadStateDict({ step: 0, base: [1, 2] });
    expect(refused).toThrow(/base rates of 1 parameter groups, got 2/);
    expect(refused).toThrow(expect.objectContaining({ code: "STATE_MISMATCH" }) as EngineError);
  });
});

test.each([
  [1, 12],
  [2, Math.hypot(3, -4, 5)],
  [3, Math.cbrt(27 + 64 + 125)],
  [Number.POSITIVE_INFINITY, 5],
])("clipGradNorm_ with norm type %d, over several dtypes", (normType, total) => {
  const params = [parameter([1, 2], "float32"), parameter([1])];
  (params[0] as nn.Parameter).tensor.grad = tensor([3, -4]);
  (params[1] as nn.Parameter).tensor.grad = tensor([5], { dtype: "float64" });
  expect(optim.clipGradNorm_(params, total / 2, { normType })).toBeCloseTo(total, 5);
  expect(params[0]?.grad?.tolist()).toEqual([expect.closeTo(1.5, 5), expect.closeTo(-2, 5)]);
  expect(params[1]?.grad?.tolist()).toEqual([expect.closeTo(2.5, 5)]);
});
