import { describe, expect, test } from "vitest";
import * as engine from "../../src/index.js";
import {
  type DType,
  EngineError,
  grad,
  liveTensors,
  ones,
  scope,
  Tensor,
  tensor,
  zeros,
} from "../../src/index.js";
import * as ops from "../../src/ops/index.js";

const dtypes: DType[] = [
  "float32",
  "float64",
  "float16",
  "bfloat16",
  "int64",
  "int32",
  "int16",
  "int8",
  "uint8",
];
const fails = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

describe("tensors and numbers as operands", () => {
  test.each(dtypes)("arithmetic of %s keeps the dtype, with numbers too", (dtype) => {
    const x = tensor([1, 2, 3], { dtype });
    for (const [seen, wanted] of [
      [x.add(x), [2, 4, 6]],
      [x.add(2), [3, 4, 5]],
      [x.add(x, { alpha: 2 }), [3, 6, 9]],
      [x.add(1, { alpha: 3 }), [4, 5, 6]],
      [x.mul(2), [2, 4, 6]],
      [x.sub(1), [0, 1, 2]],
      [ops.rsub(x, 4), [3, 2, 1]],
      [x.pow(2), [1, 4, 9]],
      [ops.pow(2, x), [2, 4, 8]],
      [x.div(2, { roundingMode: "floor" }), [0, 1, 1]],
      [x.remainder(2), [1, 0, 1]],
      [ops.where(x.gt(1), x, 0), [0, 2, 3]],
      [ops.where(x.gt(1), 0, x), [1, 0, 0]],
      [x.where(x.lt(3), tensor([9], { dtype })), [1, 2, 9]],
      [x.maskedFill(x.eq(2), 7), [1, 7, 3]],
    ] as const) {
      expect(seen.dtype).toBe(dtype);
      expect(seen.tolist()).toEqual(wanted);
    }
    expect(x.sum().item()).toBe(6);
    expect(x.ge(2).tolist()).toEqual([0, 1, 1]);
    expect(x.ge(2).dtype).toBe("bool");
    expect(x.zerosLike().dtype).toBe(dtype);
  });

  // libtorch 1.13 has no clamp of float16 on the CPU.
  test.each(
    dtypes.filter((dtype) => dtype !== "float16"),
  )("limits of %s, by numbers and tensors", (dtype) => {
    const x = tensor([1, 2, 3], { dtype });
    const limits = tensor([3, 2, 2], { dtype });
    expect(x.clamp({ min: 2 }).tolist()).toEqual([2, 2, 3]);
    expect(x.clamp({ min: 2, max: limits }).tolist()).toEqual([2, 2, 2]);
    expect(x.clamp({ min: limits, max: 2 }).tolist()).toEqual([2, 2, 2]);
    expect(x.clamp({ min: limits }).tolist()).toEqual([3, 2, 3]);
    expect(x.clampMin(2).tolist()).toEqual([2, 2, 3]);
    expect(x.clampMax(limits).dtype).toBe(dtype);
    expect(() => x.clamp({})).toThrow(/clamp/);
  });

  test("dtypes promote as in PyTorch", () => {
    const whole = tensor([3, 4], { dtype: "int64" });
    expect(whole.div(2).dtype).toBe("float32");
    expect(whole.mul(0.5).dtype).toBe("float32");
    expect(whole.mul(2).dtype).toBe("int64");
    expect(whole.add(ones([2], { dtype: "float64" })).dtype).toBe("float64");
    expect(whole.bool().sum().dtype).toBe("int64");
    expect(ops.where(whole.gt(3), 1.5, 0).dtype).toBe("float32");
  });

  test("64-bit integers and broadcasting", () => {
    const wide = zeros([1], { dtype: "int64" })
      .add(2n ** 60n)
      .add(1);
    expect(wide.toTypedArray()).toEqual(new BigInt64Array([2n ** 60n + 1n]));
    expect(zeros([2, 1, 3]).add(ones([4, 1])).shape).toEqual([2, 4, 3]);
    expect(zeros([2, 0]).sum().item()).toBe(0);
  });
});

describe("in place", () => {
  type Change = [name: string, change: (x: Tensor) => Tensor, wanted: number[]];
  test.each<Change>([
    ["add_", (x) => x.add_(1), [2, 3]],
    ["add_ of a tensor", (x) => x.add_(ones([2]), { alpha: 2 }), [3, 4]],
    ["sub_", (x) => x.sub_(1), [0, 1]],
    ["mul_", (x) => x.mul_(3), [3, 6]],
    ["div_", (x) => x.div_(2), [0.5, 1]],
    ["pow_", (x) => x.pow_(2), [1, 4]],
    ["neg_", (x) => x.neg_(), [-1, -2]],
    ["zero_", (x) => x.zero_(), [0, 0]],
    ["fill_", (x) => x.fill_(7), [7, 7]],
    ["copy_", (x) => x.copy_(tensor([5])), [5, 5]],
    ["clamp_", (x) => x.clamp_({ max: 1 }), [1, 1]],
    ["relu_", (x) => x.sub_(1.5).relu_(), [0, 0.5]],
    ["addcmul_", (x) => x.addcmul_(ones([2]), ones([2]), { value: 2 }), [3, 4]],
    ["addcdiv_", (x) => x.addcdiv_(ones([2]), tensor([2, 4])), [1.5, 2.25]],
    ["lerp_", (x) => x.lerp_(tensor([3, 4]), 0.5), [2, 3]],
    ["maskedFill_", (x) => x.maskedFill_(x.gt(1), 0), [1, 0]],
    ["scatter_", (x) => x.scatter_(0, tensor([1], { dtype: "int64" }), 9), [1, 9]],
    ["scatterAdd_", (x) => x.scatterAdd_(0, tensor([1, 1], { dtype: "int64" }), ones([2])), [1, 4]],
    ["indexAdd_", (x) => x.indexAdd_(0, tensor([0, 0], { dtype: "int64" }), ones([2])), [3, 2]],
    ["indexPut_", (x) => x.indexPut_([tensor([1], { dtype: "int64" })], tensor([4])), [1, 4]],
    ["indexFill_", (x) => x.indexFill_(0, tensor([0], { dtype: "int64" }), 8), [8, 2]],
  ])("%s changes and returns the tensor itself", (_, change, wanted) => {
    const x = tensor([1, 2]);
    expect(change(x)).toBe(x);
    expect(x.tolist()).toEqual(wanted);
  });

  test("writing to a leaf that requires gradients is refused, except inside noGrad", () => {
    const x = ones([2], { requiresGrad: true });
    expect(() => x.add_(1)).toThrow(fails("OP_FAILED", /aten::add_\.Scalar: .*leaf/));
    engine.noGrad(() => x.add_(1));
    expect(x.tolist()).toEqual([2, 2]);
  });
});

describe("methods", () => {
  test("every method does what the function of its name does", () => {
    const x = engine.rand([2, 3]);
    const { relu, exp, sum, t, nonzero, isnan, contiguous, square } = ops;
    for (const [name, call] of Object.entries({ relu, exp, sum, t, nonzero, isnan, contiguous, square })) {
      expect(x[name as "relu"]().tolist()).toEqual(call(x).tolist());
    }
    const [values, places] = x.max(1);
    expect(values.tolist()).toEqual(ops.max(x, 1)[0].tolist());
    expect(places.dtype).toBe("int64");
    expect(
      x
        .reshape([-1])
        .split(4)
        .map((part) => part.shape),
    ).toEqual([[4], [2]]);
  });

  test("are not seen by loops over keys, and leave the tensor's own alone", () => {
    expect(Object.keys(Tensor.prototype)).toEqual([]);
    const x = ones([2, 2]);
    expect([x.shape, x.dtype, x.item instanceof Function]).toEqual([[2, 2], "float32", true]);
  });

  test("backward fills in gradients", () => {
    const x = tensor([1, 2, 3], { requiresGrad: true });
    x.mul(x).sum().backward();
    expect(x.grad?.tolist()).toEqual([2, 4, 6]);
  });

  test("conversions", () => {
    const x = tensor([
      [
        [
          [1.5, 0],
          [-2.5, 3],
        ],
      ],
    ]).repeat([1, 2, 1, 1]);
    const changed = x.to({ dtype: "float64", memoryFormat: "channelsLast" });
    expect([changed.dtype, changed.isChannelsLast]).toEqual(["float64", true]);
    expect(changed.contiguous().isContiguous).toBe(true);
    expect(x.int().flatten().tolist()).toEqual([1, 0, -2, 3, 1, 0, -2, 3]);
    expect([x.half().dtype, x.bfloat16().dtype, x.double().dtype, x.long().dtype, x.bool().dtype]).toEqual([
      "float16",
      "bfloat16",
      "float64",
      "int64",
      "bool",
    ]);
    expect(engine.sharesStorage(x.to({ dtype: "float32" }), x)).toBe(true);
    expect(engine.sharesStorage(x.to({ copy: true, dtype: "float32" }), x)).toBe(false);
    expect(engine.sharesStorage(x.clone(), x)).toBe(false);
    expect(x.typeAs(changed).dtype).toBe("float64");
    expect(x.to({ device: "cpu" }).cpu().device).toBe("cpu");
    const leaf = ones([1], { requiresGrad: true });
    expect(leaf.mul(2).detach().requiresGrad).toBe(false);
  });

  test("streams of random numbers can be given", () => {
    const draw = () => {
      const generator = new engine.Generator(4);
      const x = zeros([5]).normal_({ std: 2, generator });
      x.uniform_({ from: 3, to: 4, generator });
      expect(x.ge(3).all().item()).toBe(1);
      const chosen = ones([3]).multinomial(5, { replacement: true, generator });
      return [
        x.tolist(),
        ops.randperm(6, { generator }).tolist(),
        chosen.tolist(),
        x.sub(3).bernoulli({ generator }).tolist(),
      ];
    };
    expect(draw()).toEqual(draw());
    expect(ops.randperm(5).sort()[0].tolist()).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("results of hand", () => {
  test("unique, isin, joining, splitting", () => {
    const [values, inverse, counts] = tensor([3, 1, 3, 2]).unique();
    expect([values.tolist(), inverse.tolist(), counts.tolist()]).toEqual([
      [1, 2, 3],
      [2, 0, 2, 1],
      [1, 1, 2],
    ]);
    const [rows] = tensor([
      [1, 2],
      [1, 2],
      [0, 1],
    ]).unique(0);
    expect(rows.tolist()).toEqual([
      [0, 1],
      [1, 2],
    ]);
    expect(
      tensor([1, 2, 3])
        .isin(tensor([3, 1]))
        .tolist(),
    ).toEqual([1, 0, 1]);
    expect(ops.cat([ones([1, 2]), zeros([2, 2])]).shape).toEqual([3, 2]);
    expect(ops.stack([ones([2]), zeros([2])], 1).tolist()).toEqual([
      [1, 0],
      [1, 0],
    ]);
    const [ys, xs] = ops.meshgrid([engine.arange(2), engine.arange(3)]) as [Tensor, Tensor];
    expect([ys.tolist(), xs.tolist()]).toEqual([
      [
        [0, 0, 0],
        [1, 1, 1],
      ],
      [
        [0, 1, 2],
        [0, 1, 2],
      ],
    ]);
    expect(ops.meshgrid([engine.arange(2), engine.arange(3)], "xy")[0]?.shape).toEqual([3, 2]);
    expect(ops.einsum("ij,j->i", ones([2, 3]), tensor([1, 2, 3])).tolist()).toEqual([6, 6]);
    expect(
      engine
        .arange(5)
        .split([2, 3])
        .map((part) => part.tolist()),
    ).toEqual([
      [0, 1],
      [2, 3, 4],
    ]);
    expect(engine.arange(4).chunk(2).length).toBe(2);
    expect(ones([2, 3]).unbind(1).length).toBe(3);
    expect(
      tensor([
        [1, 2],
        [3, 4],
      ])
        .diagonal()
        .tolist(),
    ).toEqual([1, 4]);
  });

  test("batch normalisation writes its running statistics, and uses them in evaluation", () => {
    const x = tensor([[1], [3]]);
    const [runningMean, runningVar] = [zeros([1]), ones([1])];
    const y = ops.batchNorm(x, { runningMean, runningVar, training: true, momentum: 0.5, eps: 0 });
    expect(y.tolist()).toEqual([[-1], [1]]);
    expect([runningMean.item(), runningVar.item()]).toEqual([1, 1.5]);
    const z = ops.batchNorm(x, { runningMean, runningVar, weight: tensor([2]), bias: tensor([1]), eps: 0 });
    expect(z.at(0, 0).item()).toBeCloseTo(1, 6);
    expect(z.at(1, 0).item()).toBeCloseTo(1 + (2 * 2) / Math.sqrt(1.5), 5);
  });

  test("dropout drops and scales in training only", () => {
    const x = ones([1000]);
    expect(new Set(x.dropout({ p: 0.75 }).toTypedArray() as Float32Array)).toEqual(new Set([0, 4]));
    expect(x.dropout({ training: false }).sum().item()).toBe(1000);
  });

  test("second derivatives", () => {
    const x = tensor([2], { requiresGrad: true });
    const [first] = grad([x.pow(3).sum()], [x], { createGraph: true }) as [Tensor];
    expect((grad([first.sum()], [x])[0] as Tensor).tolist()).toEqual([12]);
  });

  test("many tensors at once", () => {
    const list = () => [ones([2]), tensor([2, 4])];
    const a = list();
    ops.foreachAdd_(a, 1);
    ops.foreachMul_(a, [2, 3]);
    ops.foreachSub_(a, list());
    ops.foreachAdd_(a, list(), 2);
    ops.foreachDiv_(a, 2);
    expect(a.map((x) => x.tolist())).toEqual([
      [2.5, 2.5],
      [5.5, 9.5],
    ]);
    ops.foreachAddcmul_(a, list(), list(), 2);
    ops.foreachAddcdiv_(a, list(), list());
    expect(a.map((x) => x.tolist())).toEqual([
      [5.5, 5.5],
      [14.5, 42.5],
    ]);
    ops.foreachLerp_(a, list(), 0.5);
    expect(a[0]?.tolist()).toEqual([3.25, 3.25]);
    ops.foreachCopy_(a, list());
    expect(ops.foreachNorm([tensor([3, 4])])[0]?.item()).toBe(5);
    expect(ops.foreachSqrt(a).map((x) => x.at(1).item())).toEqual([1, 2]);
    expect(ops.foreachAdd(a, a, 2)[1]?.tolist()).toEqual([6, 12]);
    expect(ops.foreachMul(a, 2)[0]?.tolist()).toEqual([2, 2]);
    ops.foreachMaximum_(a, [tensor([3, 0]), tensor([0, 0])]);
    expect(a[0]?.tolist()).toEqual([3, 1]);
    ops.foreachZero_(a);
    expect(a[1]?.tolist()).toEqual([0, 0]);
    expect(() => ops.foreachCopy_(a, [])).toThrow(/as many tensors in both lists, got 2 and 0/);
    expect(() => ops.foreachAdd_(a, [1, 2], 2)).toThrow(/expected a list of tensors with alpha/);
  });

  test("functions of several steps leave only their result", () => {
    const x = engine.rand([2, 3]);
    const before = liveTensors().tensors;
    const results = scope(() => [x.normalize(), x.argsort(), ops.foreachAbs([x])]);
    expect(liveTensors().tensors).toBe(before + results.flat().length);
  });
});

describe("errors", () => {
  test("misspelled options, wrong choices, and other values in their place", () => {
    const x = ones([1, 1, 4, 4]);
    expect(() => x.conv2d(x, null, { strides: 2 } as never)).toThrow(
      fails("BAD_ARGUMENT", /^conv2d: no option "strides"; it has: stride, padding, dilation, groups$/),
    );
    expect(() => x.sum(0, true as never)).toThrow(
      fails("BAD_ARGUMENT", /^sum: expected options \{ keepdim, dtype \}, got true$/),
    );
    expect(() => x.maxPool2d(2, [2] as never)).toThrow(
      fails("BAD_ARGUMENT", /^maxPool2d: expected options .*got an array/),
    );
    expect(() => x.mse(x, { reduction: "avg" as never })).toThrow(
      fails("BAD_ARGUMENT", /^mse: reduction: expected one of "none", "mean", "sum", got "avg"$/),
    );
    expect(() => x.gridSample(x, { mode: "cubic" as never })).toThrow(
      /gridSample: mode: expected one of "bilinear"/,
    );
    expect(() => x.interpolate({})).toThrow(
      /^interpolate: expected either size or scaleFactor, got neither$/,
    );
    expect(() => x.interpolate({ size: 2, scaleFactor: 2 })).toThrow(/got both$/);
    expect(() => x.interpolate({ size: 2, alignCorners: true })).toThrow(
      /mode "nearest" takes no alignCorners/,
    );
    expect(() => x.to({ memoryFormat: "nhwc" as never })).toThrow(
      /to: memoryFormat: expected one of .*got "nhwc"/,
    );
  });

  test("libtorch's refusals name operator, argument, expected and got", () => {
    const x = ones([2, 3]);
    expect(() => x.add("a" as never)).toThrow(
      fails("BAD_ARGUMENT", /^aten::add\.Scalar: argument "other": expected a number, got "a"$/),
    );
    expect(() => x.relu.call({} as Tensor)).toThrow(EngineError);
    expect(() => x.reshape([4, 2])).toThrow(
      fails("OP_FAILED", /^aten::reshape: .*[\s\S]*self: float32 \[2, 3\] on cpu/),
    );
    expect(() => x.matmul(x)).toThrow(fails("OP_FAILED", /aten::matmul: [\s\S]*other: float32 \[2, 3\]/));
    expect(() => x.softmax(5)).toThrow(fails("OP_FAILED", /aten::softmax\.int: Dimension out of range/));
    expect(() => x.reshape(["a"] as never)).toThrow(
      fails("BAD_ARGUMENT", /argument "shape": expected an integer, got "a"/),
    );
    expect(() => x.topk(1.5)).toThrow(
      fails("BAD_ARGUMENT", /aten::topk: argument "k": expected an integer, got number 1.5/),
    );
    expect(() => ops.cat([x, 1] as never)).toThrow(fails("BAD_ARGUMENT", /aten::cat: argument "tensors"/));
    const gone = ones([1]);
    gone.free();
    expect(() => gone.add(1)).toThrow(
      fails("FREED", /aten::add\.Scalar: argument "self": the tensor has been freed/),
    );
    expect(() => x.add(gone)).toThrow(fails("FREED", /aten::add\.Tensor: argument "other"/));
  });
});
