import { describe, expect, test } from "vitest";
import {
  autocast,
  backward,
  EngineError,
  enableGrad,
  inferenceMode,
  isGradEnabled,
  nn,
  noGrad,
  ones,
  optim,
  scope,
  tensor,
  tensorOp,
} from "../src/index.js";

const conv2d = tensorOp("aten::conv2d");
const mm = tensorOp("aten::mm");
const sum = tensorOp("aten::sum");
const mul = tensorOp("aten::mul.Tensor");

test("float32 parameters train under autocast: their gradients are float32", () => {
  const layer = new nn.Conv2d({ inChannels: 2, outChannels: 2, kernelSize: 3 });
  const y = autocast({}, () => layer.forward(ones([1, 2, 4, 4])));
  expect(y.dtype).toBe("bfloat16");
  backward(sum(y, { dtype: "float32" }));
  expect(layer.weight.grad?.dtype).toBe("float32");
  expect([...(layer.weight.grad?.toTypedArray() as Float32Array)]).toEqual(new Array(36).fill(4));
});

test("an inner autocast that throws leaves the outer one on", () => {
  const [x, w] = [ones([1, 1, 2, 2]), ones([1, 1, 1, 1])];
  autocast({}, () => {
    expect(() =>
      autocast({ enabled: false }, () => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect(conv2d(x, w).dtype).toBe("bfloat16");
  });
  expect(mm(ones([2, 2]), ones([2, 2])).dtype).toBe("float32");
});

test.each([
  [{ device: "cuda:0" }, /device "cpu" or "cuda" \(all its devices\), got "cuda:0"/],
  [{ dtype: "float32" }, /dtype bfloat16 on the CPU, got float32/],
  [{ device: "cuda", dtype: "float64" }, /dtype bfloat16 or float16, got float64/],
])("options %o are refused, and leave it off", (options, message) => {
  expect(() => autocast(options as never, () => 1)).toThrow(message);
  expect(mm(ones([2, 2]), ones([2, 2])).dtype).toBe("float32");
});

test("what is no function is refused by name", () => {
  for (const [name, run] of Object.entries({ noGrad, enableGrad, inferenceMode, scope }))
    expect(() => run(undefined as never)).toThrow(`${name}: expected a function to run, got undefined`);
  expect(() => autocast({}, 3 as never)).toThrow("autocast: expected a function to run, got number");
  expect(isGradEnabled()).toBe(true);
});

test("a promise is refused by name; what becomes of it later disturbs nobody", async () => {
  const unhandled: unknown[] = [];
  const listener = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", listener);
  try {
    const fails = async (): Promise<void> => {
      await null;
      throw new Error("late");
    };
    for (const [name, run] of Object.entries({ noGrad, enableGrad, inferenceMode, scope }))
      expect(() => run(fails)).toThrow(`${name}: expected a synchronous function`);
    expect(() => autocast({}, fails)).toThrow("autocast: expected a synchronous function");
    await new Promise((resolve) => setTimeout(resolve, 10));
  } finally {
    process.off("unhandledRejection", listener);
  }
  expect(unhandled).toEqual([]);
});

describe("GradScaler", () => {
  const make = (values: number[]): { p: nn.Parameter; optimizer: optim.SGD } => {
    const p = new nn.Parameter(tensor(values));
    return { p, optimizer: new optim.SGD([p], { lr: 1 }) };
  };
  /** Gradient of `weights · p` is `weights`. */
  const learn = (scaler: optim.GradScaler, p: nn.Parameter, weights: number[]): void =>
    scope(() => backward(scaler.scale(sum(mul(p.tensor, tensor(weights))))));

  test("scales the loss; the step is that of unscaled gradients", () => {
    const { p, optimizer } = make([1, 2]);
    const scaler = new optim.GradScaler({ initScale: 1024 });
    learn(scaler, p, [0.25, 0.5]);
    expect(p.grad?.tolist()).toEqual([256, 512]);
    expect(scaler.step(optimizer)).toBe(true);
    scaler.update();
    expect(p.tensor.tolist()).toEqual([0.75, 1.5]);
  });

  test.each([
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ])("leaves the step out and halves the scale when a gradient is %s", (wrong) => {
    const { p, optimizer } = make([1, 2]);
    const scaler = new optim.GradScaler({ initScale: 8 });
    learn(scaler, p, [1, wrong]);
    expect(scaler.step(optimizer)).toBe(false);
    scaler.update();
    expect(p.tensor.tolist()).toEqual([1, 2]);
    expect(scaler.stateDict()).toEqual({ scale: 4, growthTracker: 0 });
  });

  test("doubles after an interval without overflow, which starts anew after one", () => {
    const { p, optimizer } = make([1]);
    const scaler = new optim.GradScaler({ initScale: 4, growthInterval: 3 });
    const seen = [1, 1, Number.NaN, 1, 1, 1, 1].map((weight) => {
      optimizer.zeroGrad();
      learn(scaler, p, [weight]);
      scaler.step(optimizer);
      scaler.update();
      return scaler.currentScale;
    });
    expect(seen).toEqual([4, 4, 2, 2, 2, 4, 4]);
  });

  test("unscale_ before clipping is not done again by step", () => {
    const { p, optimizer } = make([1, 1]);
    const scaler = new optim.GradScaler({ initScale: 16 });
    learn(scaler, p, [3, 4]);
    scaler.unscale_(optimizer);
    expect(p.grad?.tolist()).toEqual([3, 4]);
    expect(optim.clipGradNorm_([p], 1)).toBeCloseTo(5, 6);
    expect(() => scaler.unscale_(optimizer)).toThrow(/have been unscaled since the last update/);
    scaler.step(optimizer);
    expect(p.tensor.tolist()).toEqual([expect.closeTo(0.4, 5), expect.closeTo(0.2, 5)]);
    expect(() => scaler.step(optimizer)).toThrow(/expected update\(\) after the step before/);
    scaler.update();
  });

  test("one optimiser's overflow leaves the other's step alone; the scale falls once", () => {
    const [a, b] = [make([1]), make([1])];
    const scaler = new optim.GradScaler({ initScale: 2 });
    learn(scaler, a.p, [Number.NaN]);
    learn(scaler, b.p, [1]);
    expect([scaler.step(a.optimizer), scaler.step(b.optimizer)]).toEqual([false, true]);
    scaler.update();
    expect([a.p.tensor.item(), b.p.tensor.item(), scaler.currentScale]).toEqual([1, 0, 1]);
  });

  test("goes on from its saved state, which survives JSON", () => {
    const scaler = new optim.GradScaler({ initScale: 4, growthInterval: 3 });
    scaler.loadStateDict(JSON.parse(JSON.stringify({ scale: 32, growthTracker: 2 })));
    const { p, optimizer } = make([1]);
    learn(scaler, p, [1]);
    scaler.step(optimizer);
    scaler.update();
    expect(scaler.stateDict()).toEqual({ scale: 64, growthTracker: 0 });
    expect(() => scaler.loadStateDict({ scale: Number.NaN, growthTracker: 0 })).toThrow(EngineError);
  });

  test("switched off it passes everything through", () => {
    const { p, optimizer } = make([1]);
    const scaler = new optim.GradScaler({ enabled: false });
    learn(scaler, p, [0.5]);
    scaler.unscale_(optimizer);
    expect(scaler.step(optimizer)).toBe(true);
    scaler.update();
    expect([p.tensor.item(), scaler.currentScale]).toEqual([0.5, 1]);
  });

  test("refuses factors that cannot work, and update without a step", () => {
    expect(() => new optim.GradScaler({ growthFactor: 1 })).toThrow(/growthFactor > 1, got 1/);
    expect(() => new optim.GradScaler({ backoffFactor: 1 })).toThrow(/backoffFactor between 0 and 1/);
    expect(() => new optim.GradScaler({ growthInterval: 0 })).toThrow(/growthInterval, got 0/);
    expect(() => new optim.GradScaler().update()).toThrow(/step\(\) or unscale_\(\) before/);
  });
});
