import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { backward, nn, ones, optim, scope, type Tensor, tensor, tensorOp } from "../../src/index.js";

type Values = number[] | Values[];
interface Golden {
  start: Values[];
  target: Values[];
  weight: Values[];
  sgd: Record<string, { options: Record<string, number | boolean>; seen: number[][][] }>;
  adamw: Record<
    string,
    {
      options: { lr: number; betas?: [number, number]; weight_decay?: number; eps?: number };
      seen: number[][][];
    }
  >;
  adam: Record<
    string,
    {
      options: { lr: number; betas?: [number, number]; weight_decay?: number; eps?: number };
      seen: number[][][];
    }
  >;
  groups: number[][][];
  rates: Record<string, number[]>;
}
const golden = JSON.parse(readFileSync(new URL("fixtures/optim.json", import.meta.url), "utf8")) as Golden;
const checkpoints = [0, 1, 9, 49, 99];

const [add, sub, mul, sum] = ["aten::add.Tensor", "aten::sub.Tensor", "aten::mul.Tensor", "aten::sum"].map(
  tensorOp,
) as [
  (...v: Tensor[]) => Tensor,
  (...v: Tensor[]) => Tensor,
  (...v: Tensor[]) => Tensor,
  (...v: Tensor[]) => Tensor,
];
const float64 = (values: Values): Tensor => tensor(values as never, { dtype: "float64" });
const parameters = (): nn.Parameter[] => golden.start.map((values) => new nn.Parameter(float64(values)));

function learn(params: readonly nn.Parameter[], optimizer: { zeroGrad(): void; step(): void }): void {
  scope(() => {
    optimizer.zeroGrad();
    const losses = params.map(({ tensor: p }, i) => {
      const away = sub(p, float64(golden.target[i] as Values));
      return sum(mul(float64(golden.weight[i] as Values), mul(away, away)));
    });
    backward(losses.reduce((a, b) => add(a, b)));
    optimizer.step();
  });
}

const flat = (params: readonly nn.Parameter[]): number[][] =>
  params.map(({ tensor: p }) => [...(p.toTypedArray() as Float64Array)]);

function expectPath(
  params: nn.Parameter[],
  optimizer: { zeroGrad(): void; step(): void },
  seen: number[][][],
): void {
  for (let step = 0; step < 100; step++) {
    learn(params, optimizer);
    const at = checkpoints.indexOf(step);
    if (at < 0) continue;
    for (const [i, values] of flat(params).entries()) {
      for (const [j, value] of values.entries()) expect(value).toBeCloseTo(seen[at]?.[i]?.[j] as number, 11);
    }
  }
}

describe("equal to PyTorch over 100 steps", () => {
  test.each(Object.entries(golden.sgd))("SGD, %s", (_name, { options, seen }) => {
    const params = parameters();
    const { weight_decay: weightDecay = 0, ...rest } = options as Record<string, number>;
    expectPath(params, new optim.SGD(params, { ...(rest as { lr: number }), weightDecay }), seen);
  });

  test.each(Object.entries(golden.adamw))("AdamW, %s", (_name, { options, seen }) => {
    const params = parameters();
    const { weight_decay: weightDecay = 0.01, ...rest } = options;
    expectPath(params, new optim.AdamW(params, { ...rest, weightDecay }), seen);
  });

  test.each(Object.entries(golden.adam))("Adam, %s", (_name, { options, seen }) => {
    const params = parameters();
    const { weight_decay: weightDecay = 0, ...rest } = options;
    expectPath(params, new optim.Adam(params, { ...rest, weightDecay }), seen);
  });

  test("parameter groups with options of their own", () => {
    const params = parameters();
    const groups = [
      { params: [params[0] as nn.Parameter] },
      { params: [params[1] as nn.Parameter], options: { lr: 0.1, weightDecay: 0 } },
    ];
    expectPath(params, new optim.SGD(groups, { lr: 0.02, momentum: 0.9, weightDecay: 0.01 }), golden.groups);
  });

  test.each([
    ["step", optim.stepSchedule(30, 0.1)],
    ["multiStep", optim.multiStepSchedule([20, 75], 0.1)],
    ["cosine", optim.cosineSchedule(100)],
  ] as const)("schedule %s", (name, schedule) => {
    const optimizer = new optim.SGD([new nn.Parameter(ones([1]))], { lr: 0.5 });
    const scheduler = new optim.Scheduler(optimizer, schedule);
    for (const rate of golden.rates[name] as number[]) {
      expect(scheduler.rates[0]).toBeCloseTo(rate, 12);
      scheduler.step();
    }
  });
});

test("warm-up starts at its ratio and reaches 1, times another schedule", () => {
  const warm = optim.linearWarmup(500, 1 / 3);
  expect([warm(0), warm(250), warm(500), warm(9999)]).toEqual(
    [1 / 3, 1 - 0.5 * (2 / 3), 1, 1].map((v) => expect.closeTo(v, 12)),
  );
  expect([0, 499, 500].map(optim.constantWarmup(500, 0.1))).toEqual([0.1, 0.1, 1]);
  expect(optim.product(warm, optim.multiStepSchedule([8]))(250)).toBeCloseTo((2 / 3) * 0.1, 12);
});

test.each(["SGD", "AdamW"] as const)("%s goes on from a saved state as if never interrupted", (kind) => {
  const make = (params: nn.Parameter[]): optim.SGD | optim.AdamW =>
    kind === "SGD"
      ? new optim.SGD(params, { lr: 0.02, momentum: 0.9 })
      : new optim.AdamW(params, { lr: 0.02 });
  const straight = parameters();
  const one = make(straight);
  for (let step = 0; step < 20; step++) learn(straight, one);

  const broken = parameters();
  const two = make(broken);
  for (let step = 0; step < 10; step++) learn(broken, two);
  const saved = two.stateDict();
  const resumed = broken.map(
    ({ tensor: p }) => new nn.Parameter(tensorOp("aten::clone")(tensorOp("aten::detach")(p))),
  );
  const three = make(resumed);
  three.loadStateDict(saved as never);
  for (let step = 0; step < 10; step++) learn(resumed, three);
  expect(flat(resumed)).toEqual(flat(straight));
});

describe("gradients are clipped", () => {
  const withGrads = (): nn.Parameter[] => {
    const params = [new nn.Parameter(ones([2])), new nn.Parameter(ones([1])), new nn.Parameter(ones([5]))];
    (params[0] as nn.Parameter).tensor.grad = tensor([3, 0]);
    (params[1] as nn.Parameter).tensor.grad = tensor([4]);
    return params;
  };

  test("by their joint norm; those without are skipped", () => {
    const params = withGrads();
    expect(optim.clipGradNorm_(params, 10)).toBeCloseTo(5, 6);
    expect(params[0]?.grad?.tolist()).toEqual([3, 0]);
    expect(optim.clipGradNorm_(params, 1)).toBeCloseTo(5, 6);
    expect(params[0]?.grad?.tolist()).toEqual([expect.closeTo(0.6, 5), 0]);
    expect(params[1]?.grad?.tolist()).toEqual([expect.closeTo(0.8, 5)]);
  });

  test("by value, and a norm that is not finite can be an error", () => {
    const params = withGrads();
    optim.clipGradValue_(params, 2);
    expect(params[1]?.grad?.tolist()).toEqual([2]);
    (params[1] as nn.Parameter).tensor.grad = tensor([Number.NaN]);
    expect(() => optim.clipGradNorm_(params, 1, { errorIfNonfinite: true })).toThrow(/finite norm, got NaN/);
  });
});

test("wrong options and parameters are refused", () => {
  const p = new nn.Parameter(ones([1]));
  expect(() => new optim.SGD([], { lr: 1 })).toThrow(/expected parameters, got none/);
  expect(() => new optim.SGD([p, p], { lr: 1 })).toThrow(/appears twice/);
  expect(() => new optim.SGD([p], { lr: -1 })).toThrow(/lr >= 0, got -1/);
  expect(() => new optim.SGD([p], { lr: 1, nesterov: true })).toThrow(/Nesterov needs momentum/);
  expect(() => new optim.SGD([ones([1])] as never, { lr: 1 })).toThrow(
    /expected parameters \(nn\.Parameter\)/,
  );
  expect(() => new optim.SGD(p as never, { lr: 1 })).toThrow(/expected an array of parameters/);
  expect(() => new optim.SGD([p], { lr: 1, weight_decay: 1 } as never)).toThrow(
    /no option "weight_decay"; it has: lr, momentum/,
  );
  expect(() => new optim.SGD([p], { lr: 1, dampening: Number.NaN })).toThrow(/finite dampening, got NaN/);
  expect(() => new optim.Adam([p], { betas: [0.9] as never })).toThrow(/two betas/);
  expect(() => optim.clipGradNorm_([p], Number.NaN)).toThrow(/maxNorm >= 0, got NaN/);
  expect(() => optim.clipGradNorm_([p], 1, { normType: 0 })).toThrow(/normType > 0/);
  expect(() => optim.clipGradValue_([p], -1)).toThrow(/limit >= 0, got -1/);
  expect(() => optim.clipGradNorm_([ones([1])] as never, 1)).toThrow(/expected an array of Parameters/);
  expect(() => optim.multiStepSchedule(5 as never)).toThrow(/expected an array of milestones.*got 5/);
  expect(() => optim.linearWarmup(-1)).toThrow(/steps >= 0, got -1/);
  const sgd = new optim.SGD([p], { lr: 1 });
  expect(() => new optim.Scheduler(sgd, undefined as never)).toThrow(/expected an optimiser and a schedule/);
});

test("options that are undefined take their defaults, in groups those of the optimiser", () => {
  const p = new nn.Parameter(ones([1]));
  const group = { params: [p], options: { momentum: undefined } };
  const sgd = new optim.SGD([group], { lr: 1, momentum: 0.5, dampening: undefined });
  expect(sgd.groups[0]?.options).toEqual({
    lr: 1,
    momentum: 0.5,
    dampening: 0,
    weightDecay: 0,
    nesterov: false,
  });
  expect(new optim.AdamW([p], { weightDecay: undefined }).groups[0]?.options.weightDecay).toBe(0.01);
});
