import { describe, expect, test } from "vitest";
import { gradgradcheck } from "../src/gradcheck.js";
import { autocast, Generator, gradcheck, noGrad, ones, randn, type Tensor, tensorOp } from "../src/index.js";

const double = (shape: number[], seed = 1): Tensor =>
  randn(shape, { dtype: "float64", generator: new Generator(seed), requiresGrad: true });
const conv2d = tensorOp("aten::conv2d");
const mul = tensorOp("aten::mul.Tensor");
const detach = tensorOp("aten::detach");
const batchNorm = tensorOp("aten::batch_norm");

describe("gradcheck", () => {
  test("passes right gradients: convolution and batch normalisation", () => {
    gradcheck(
      (x, w, b) => conv2d(x, w, b, 2, 1),
      [double([2, 3, 5, 4]), double([2, 3, 3, 3], 2), double([2], 3)],
    );
    gradcheck(
      (x, w, b) => batchNorm(x, w, b, null, null, true, 0.1, 1e-5, false),
      [double([2, 3, 2, 2]), double([3], 2), double([3], 3)],
    );
  });

  test("finds a wrong gradient and says where", () => {
    // x · detach(x) has derivative x, half of the square's.
    expect(() => gradcheck((x) => mul(x, detach(x)), [double([2])])).toThrow(
      /d output 0\[0\] \/ d input 0\[0\]: the gradient is .* central difference/,
    );
  });

  test("checks some elements of large inputs on request", () => {
    let calls = 0;
    const count = (x: Tensor): Tensor => {
      calls++;
      return mul(x, x);
    };
    gradcheck(count, [double([50])], { maxElements: 5 });
    expect(calls).toBe(1 + 2 * 5);
    expect(() => gradcheck((x) => mul(x, detach(x)), [double([50])], { maxElements: 5 })).toThrow(
      /d input 0/,
    );
  });

  test("checks second derivatives", () => {
    gradgradcheck((x, y) => mul(mul(x, x), y), [double([3]), double([3], 2)]);
    gradgradcheck((x, w) => conv2d(x, w), [double([1, 1, 3, 3]), double([1, 1, 2, 2], 2)]);
    gradgradcheck((x) => mul(x, detach(ones([2], { dtype: "float64" }))), [double([2])]);
    expect(() => gradgradcheck((x) => mul(mul(x, x), detach(x)), [double([2])])).toThrow(/d input 0/);
  });

  test("refuses float32 and inputs without gradients", () => {
    expect(() => gradcheck((x) => x, [ones([1], { requiresGrad: true })])).toThrow(
      /expected float64 inputs.*got float32 for input 0/,
    );
    expect(() => gradcheck((x) => x, [ones([1], { dtype: "float64" })])).toThrow(
      /requires gradients, got none/,
    );
  });
});

describe("autocast", () => {
  const [x, w] = [ones([1, 2, 4, 4]), ones([2, 2, 3, 3])];

  test("convolutions run in bfloat16 inside and in float32 after, whatever happens", () => {
    expect(autocast({}, () => conv2d(x, w).dtype)).toBe("bfloat16");
    expect(() =>
      autocast({}, () => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect(conv2d(x, w).dtype).toBe("float32");
  });

  test("nests, and can be switched off inside", () => {
    autocast({}, () => {
      expect(autocast({ enabled: false }, () => conv2d(x, w).dtype)).toBe("float32");
      expect(conv2d(x, w).dtype).toBe("bfloat16");
    });
  });

  test("gradients of float32 weights are float32", () => {
    const weight = ones([2, 2, 3, 3], { requiresGrad: true });
    const y = autocast({}, () => conv2d(x, weight));
    expect(y.dtype).toBe("bfloat16");
    noGrad(() => expect(weight.dtype).toBe("float32"));
  });

  test("float16 on the CPU and promises are refused", () => {
    expect(() => autocast({ dtype: "float16" }, () => 1)).toThrow(/expected dtype bfloat16 on the CPU/);
    expect(() => autocast({}, async () => 1)).toThrow(/promise/);
  });
});
