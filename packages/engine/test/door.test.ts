import { describe, expect, test } from "vitest";
import {
  EngineError,
  Generator,
  hasOp,
  type OpResult,
  ones,
  op,
  setRecorder,
  Tensor,
  tensor,
  zeros,
} from "../src/index.js";

const fails = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

describe("calling operators by name", () => {
  test("positional, defaults and named arguments", () => {
    const add = op("aten::add.Tensor");
    expect((add(ones([2]), ones([2])) as Tensor).tolist()).toEqual([2, 2]);
    expect((add(ones([2]), ones([2]), { alpha: 3 }) as Tensor).tolist()).toEqual([4, 4]);
    expect((add(ones([2]), { other: ones([2]), alpha: undefined }) as Tensor).tolist()).toEqual([2, 2]);
    expect(op("aten::add.Tensor")).toBe(add);
    expect(add.schema.schema).toContain("Tensor self, Tensor other, *, Scalar alpha=1");
  });

  test("a number stands for a fixed-size list, strings for dtypes and memory formats", () => {
    const x = op("aten::max_pool2d")(ones([1, 1, 4, 4]), 2) as Tensor;
    expect(x.shape).toEqual([1, 1, 2, 2]);
    const half = op("aten::_to_copy")(x, { dtype: "float16", device: "cpu" }) as Tensor;
    expect(half.dtype).toBe("float16");
    const last = op("aten::contiguous")(zeros([1, 2, 3, 3]), { memory_format: "channels_last" }) as Tensor;
    expect(last.isChannelsLast).toBe(true);
    expect(last.strides).toEqual([18, 1, 6, 2]);
  });

  test("several results, lists of tensors, numbers, booleans, none", () => {
    const [values, indices] = op("aten::topk")(tensor([3, 1, 2]), 2) as [Tensor, Tensor];
    expect(values.tolist()).toEqual([3, 2]);
    expect(indices.tolist()).toEqual([0, 2]);
    const parts = op("aten::split.Tensor")(tensor([1, 2, 3]), 2) as Tensor[];
    expect(parts.map((part) => part.tolist())).toEqual([[1, 2], [3]]);
    expect(op("aten::equal")(ones([2]), ones([2]))).toBe(true);
    expect(op("aten::size.int")(ones([2, 5]), 1)).toBe(5);
    expect(op("aten::_foreach_add_.Scalar")([zeros([1]), zeros([2])], 1)).toBeNull();
    expect((op("aten::cat")([ones([1]), zeros([2])]) as Tensor).tolist()).toEqual([1, 0, 0]);
  });

  test("in place returns the same object", () => {
    const x = ones([2]);
    expect(op("aten::add_.Scalar")(x, 1)).toBe(x);
    expect(x.tolist()).toEqual([2, 2]);
  });

  test("optional tensors in lists index as in PyTorch", () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    const row = op("aten::index.Tensor")(x, [null, tensor([1], { dtype: "int64" })]) as Tensor;
    expect(row.tolist()).toEqual([[2], [4]]);
  });

  test("long lists, long strings and 64-bit integers survive the journey", () => {
    const many = Array.from({ length: 5000 }, () => ones([1]));
    expect((op("aten::cat")(many) as Tensor).shape).toEqual([5000]);
    expect((op("aten::split.Tensor")(ones([5000]), 1) as OpResult[]).length).toBe(5000);
    const wide = op("aten::full")([1], 2n ** 62n, { dtype: "int64" }) as Tensor;
    expect(wide.toTypedArray()).toEqual(new BigInt64Array([2n ** 62n]));
    const ij = op("aten::einsum")(`${" ".repeat(20000)}ij->ji`, [ones([2, 3])]) as Tensor;
    expect(ij.shape).toEqual([3, 2]);
  });

  test("generators travel", () => {
    const draw = (): unknown =>
      (op("aten::rand.generator")([2], { generator: new Generator(3) }) as Tensor).tolist();
    expect(draw()).toEqual(draw());
  });
});

describe("errors", () => {
  test("an unknown operator names the overloads there are", () => {
    expect(hasOp("aten::add.Tensor")).toBe(true);
    expect(hasOp("aten::ad")).toBe(false);
    expect(() => op("aten::add.Tensors")).toThrow(
      fails("NO_OPERATOR", /no operator "aten::add.Tensors"; it has .*aten::add\.Tensor/),
    );
    expect(() => op("nonsense")).toThrow(fails("NO_OPERATOR", /nonsense/));
  });

  test("wrong types name operator, argument, expected and got", () => {
    const conv = op("aten::conv2d");
    const x = ones([1, 3, 8, 8]);
    const w = ones([4, 3, 3, 3]);
    expect(() => conv(x, "w")).toThrow(
      fails("BAD_ARGUMENT", /^aten::conv2d: argument "weight": expected a Tensor, got "w"$/),
    );
    expect(() => conv(x, w, null, 1.5)).toThrow(
      fails("BAD_ARGUMENT", /"stride": expected an integer.*got number 1.5/),
    );
    expect(() => conv(x, w, null, ["a"])).toThrow(
      fails("BAD_ARGUMENT", /"stride": expected an integer.*got "a"/),
    );
    expect(() => conv(x)).toThrow(fails("BAD_ARGUMENT", /"weight" is missing: expected Tensor/));
    expect(() => conv(x, null)).toThrow(fails("BAD_ARGUMENT", /"weight": expected a Tensor, got null/));
    expect(() => conv(x, w, { strid: 1 })).toThrow(
      fails("BAD_ARGUMENT", /no argument "strid"; it has: input, weight, bias, stride/),
    );
    expect(() => conv(x, { input: x })).toThrow(fails("BAD_ARGUMENT", /"input" was given twice/));
    expect(() => conv(...Array(9).fill(x))).toThrow(fails("BAD_ARGUMENT", /at most 7 arguments, got 9/));
    expect(() => conv(x, (() => 1) as never)).toThrow(
      fails("BAD_ARGUMENT", /"weight": expected Tensor, got a function/),
    );
    expect(() => op("aten::sum.dim_IntList")(x, [0], { dtype: "float31" })).toThrow(
      fails("BAD_ARGUMENT", /unknown dtype "float31"/),
    );
    expect(() => op("aten::zeros")([1], { device: "gpu" })).toThrow(
      fails("BAD_ARGUMENT", /unknown device "gpu"/),
    );
  });

  test("wrong shapes list every tensor by its name", () => {
    expect(() => op("aten::conv2d")(ones([1, 3, 8, 8]), ones([4, 2, 3, 3]))).toThrow(
      fails(
        "OP_FAILED",
        /^aten::conv2d: [\s\S]*\n {2}input: float32 \[1, 3, 8, 8\] on cpu\n {2}weight: float32 \[4, 2, 3, 3\] on cpu$/,
      ),
    );
    expect(() => op("aten::mm")(ones([2, 3]), ones([2, 3]))).toThrow(
      fails("OP_FAILED", /mat2: float32 \[2, 3\]/),
    );
  });

  test("an object that only has a tensor's prototype is refused, by operators that look at values first too", () => {
    const hollow = Object.create(Tensor.prototype) as Tensor;
    for (const [name, ...args] of [
      ["aten::relu", hollow],
      ["aten::lu_solve", ones([2, 2]), ones([2, 2]), hollow],
      ["aten::linalg_ldl_solve", ones([2, 2]), hollow, ones([2, 2])],
    ] as const)
      expect(() => op(name)(...args)).toThrow(EngineError);
  });

  test("an object that inherits from a tensor is no reason for another error than libtorch's", () => {
    const heir = Object.create(ones([2, 3])) as Tensor;
    expect(() => op("aten::mm")(heir, ones([2, 3]))).toThrow(fails("OP_FAILED", /self: Tensor/));
  });

  test("freed tensors and cyclic lists are refused", () => {
    const x = ones([1]);
    x.free();
    expect(() => op("aten::relu")(x)).toThrow(
      fails("FREED", /aten::relu: argument "self": the tensor has been freed/),
    );
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    expect(() => op("aten::cat")(cyclic as never)).toThrow(fails("BAD_ARGUMENT", /nested too deeply/));
    expect(() => op("aten::cat")([x])).toThrow(EngineError);
  });
});

test("a recorder sees every call, and none after it is taken away", () => {
  const seen: string[] = [];
  const before = setRecorder({
    record: (name, _schema, _values, result) => seen.push(`${name} ${result instanceof Tensor}`),
  });
  op("aten::relu")(ones([1]));
  setRecorder(before);
  op("aten::relu")(ones([1]));
  expect(seen).toEqual(["aten::ones true", "aten::relu true"]);
});
