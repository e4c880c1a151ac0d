import { describe, expect, test } from "vitest";
import {
  backward,
  enableGrad,
  grad,
  inferenceMode,
  isGradEnabled,
  noGrad,
  ones,
  tensor,
  tensorOp,
} from "../src/index.js";

const mul = tensorOp("aten::mul.Tensor");
const sum = tensorOp("aten::sum");
const detach = tensorOp("aten::detach");

describe("gradients", () => {
  test("accumulate over passes until they are cleared", () => {
    const x = tensor([1, 2, 3], { requiresGrad: true });
    expect(x.grad).toBeNull();
    backward(sum(mul(x, x)));
    expect(x.grad?.tolist()).toEqual([2, 4, 6]);
    backward(sum(mul(x, x)));
    expect(x.grad?.tolist()).toEqual([4, 8, 12]);
    x.grad = null;
    expect(x.grad).toBeNull();
  });

  test("grad gives derivatives without touching leaves, of second order too", () => {
    const x = tensor([2], { requiresGrad: true });
    const cube = mul(mul(x, x), x);
    const [first] = grad([cube], [x], { createGraph: true });
    expect(first?.tolist()).toEqual([12]);
    const [second] = grad([first as never], [x]);
    expect(second?.tolist()).toEqual([12]);
    expect(x.grad).toBeNull();
  });

  test("unused inputs are an error unless allowed", () => {
    const x = tensor([2], { requiresGrad: true });
    const y = tensor([2], { requiresGrad: true });
    expect(() => grad([sum(x)], [x, y])).toThrow(/grad: /);
    expect(grad([sum(x)], [x, y], { allowUnused: true })[1]).toBeNull();
  });

  test("more than one element needs a gradient of the same shape", () => {
    const x = ones([3], { requiresGrad: true });
    expect(() => backward(mul(x, x))).toThrow(/backward: .*scalar/);
    backward(mul(x, x), { gradient: tensor([1, 0, 2]) });
    expect(x.grad?.tolist()).toEqual([2, 0, 4]);
    expect(() => {
      x.grad = ones([2]);
    }).toThrow(/tensor's shape, float32 \[3\] on cpu, got float32 \[2\] on cpu/);
  });

  test("only floating-point tensors can require gradients", () => {
    expect(() => ones([1], { dtype: "int64", requiresGrad: true })).toThrow(/floating-point/);
    const x = ones([1], { requiresGrad: true });
    expect(detach(x).requiresGrad).toBe(false);
    expect(x.isLeaf).toBe(true);
    expect(mul(x, x).isLeaf).toBe(false);
  });
});

describe("modes", () => {
  test("noGrad records nothing, nests, and is undone by an exception", () => {
    const x = ones([1], { requiresGrad: true });
    noGrad(() => {
      expect(mul(x, x).requiresGrad).toBe(false);
      enableGrad(() => expect(mul(x, x).requiresGrad).toBe(true));
      expect(isGradEnabled()).toBe(false);
    });
    expect(() =>
      noGrad(() => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect(isGradEnabled()).toBe(true);
    expect(() => noGrad(async () => 1)).toThrow(/promise/);
  });

  test("what inference mode makes cannot be recorded later", () => {
    const x = ones([1], { requiresGrad: true });
    const y = inferenceMode(() => mul(x, x));
    expect(y.requiresGrad).toBe(false);
    expect(() => backward(sum(mul(x, y)))).toThrow(/[Ii]nference/);
  });
});
