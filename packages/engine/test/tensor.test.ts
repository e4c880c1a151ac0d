import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import * as engine from "../src/index.js";

const {
  tensor,
  fromTypedArray,
  zeros,
  full,
  arange,
  linspace,
  rand,
  randn,
  randint,
  Generator,
  EngineError,
  manualSeed,
  op,
  setNumThreads,
  sharesStorage,
} = engine;
type Tensor = engine.Tensor;
const DTYPES = [
  "float32",
  "float64",
  "float16",
  "bfloat16",
  "int64",
  "int32",
  "int16",
  "int8",
  "uint8",
  "bool",
] as const;

describe("making tensors", () => {
  test("nested arrays give their shape and float32", () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(x.shape).toEqual([2, 3]);
    expect(x.dtype).toBe("float32");
    expect(x.device).toBe("cpu");
    expect(x.tolist()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });

  test("booleans give bool, a bare number no dimensions", () => {
    expect(tensor([true, false]).dtype).toBe("bool");
    expect(tensor([true, false]).tolist()).toEqual([1, 0]);
    expect(tensor(7).shape).toEqual([]);
    expect(tensor(7).item()).toBe(7);
  });

  test("uneven nesting is refused with the shape that was expected", () => {
    expect(() => tensor([[1, 2], [3]])).toThrow(/expected numbers nested evenly.*\[2, 2\]/);
    expect(() => tensor([[1, 2], 3] as never)).toThrow(/nested evenly/);
    expect(() => tensor(["a"] as never)).toThrow(EngineError);
  });

  test.each(DTYPES)("%s: made, read back, and 0 dimensions, empty", (dtype) => {
    const x = tensor(
      [
        [0, 1, 1],
        [1, 0, 1],
      ],
      { dtype },
    );
    expect(x.dtype).toBe(dtype);
    expect(x.tolist()).toEqual([
      [0, 1, 1],
      [1, 0, 1],
    ]);
    expect(zeros([0, 3], { dtype }).tolist()).toEqual([]);
    expect(zeros([2, 0], { dtype }).tolist()).toEqual([[], []]);
    expect(zeros([], { dtype }).item()).toBe(0);
    const again = fromTypedArray(x.toTypedArray(), [2, 3], { dtype });
    expect(again.dtype).toBe(dtype);
    expect(again.tolist()).toEqual(x.tolist());
  });

  test("typed arrays keep their type and are converted when told", () => {
    expect(tensor(new Int32Array([1, -2])).dtype).toBe("int32");
    expect(tensor(new BigInt64Array([9007199254740993n])).toTypedArray()).toEqual(
      new BigInt64Array([9007199254740993n]),
    );
    expect(fromTypedArray(new Uint8Array([0, 2]), [2], { dtype: "bool" }).tolist()).toEqual([0, 1]);
    expect(fromTypedArray(new Float32Array([1.5]), [1], { dtype: "float64" }).toTypedArray()).toEqual(
      new Float64Array([1.5]),
    );
    const view = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
    expect(tensor(view).tolist()).toEqual([2, 3]);
  });

  test("a typed array that does not fill the shape is refused with both counts", () => {
    expect(() => fromTypedArray(new Float32Array(5), [2, 3])).toThrow(
      /expected 6 elements for shape \[2, 3\], got 5/,
    );
    expect(() => fromTypedArray(new Uint16Array(1), [1])).toThrow(/float16 or bfloat16/);
    expect(() => zeros([-1])).toThrow(/non-negative integers/);
    expect(() => zeros([1.5])).toThrow(/non-negative integers/);
  });

  test("halves are exact for numbers they can hold", () => {
    const values = [0, 1, -2, 0.5, 65504, 2 ** -24, Number.POSITIVE_INFINITY];
    expect(tensor(values, { dtype: "float16" }).tolist()).toEqual(values);
    const brain = [0, 1, -2, 0.5, 2 ** 100, Number.NEGATIVE_INFINITY];
    expect(tensor(brain, { dtype: "bfloat16" }).tolist()).toEqual(brain);
  });

  test("ranges and constants", () => {
    expect(full([2], 7, { dtype: "int64" }).tolist()).toEqual([7, 7]);
    expect(arange(3).tolist()).toEqual([0, 1, 2]);
    expect(arange(3).dtype).toBe("int64");
    expect(arange(1, 2, 0.5).tolist()).toEqual([1, 1.5]);
    expect(linspace(0, 1, 3).tolist()).toEqual([0, 0.5, 1]);
  });

  test("are made on the device that onDevice says, unless they name one", () => {
    const [inside, named, data] = engine.onDevice("meta", () => [
      engine.zeros([2, 3]),
      engine.zeros([2], { device: "cpu" }),
      engine.tensor([1, 2]),
    ]);
    expect([inside, named, data].map((made) => made?.device)).toEqual(["meta", "cpu", "meta"]);
    expect(inside?.shape).toEqual([2, 3]);
    expect(() => engine.onDevice("meta", () => engine.ones([1, -1]))).toThrow(/ones/);
    expect(engine.zeros([1]).device).toBe("cpu");
    expect(() => engine.onDevice("disk" as never, () => 0)).toThrow(/onDevice: expected cpu, meta, cuda/);
  });

  test("an impossible size is an error, not a crash", () => {
    expect(() => zeros([2 ** 50])).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    expect(() => zeros([2 ** 40, 2 ** 40])).toThrow(EngineError);
  });
});

describe("random numbers", () => {
  test("the same seed gives the same numbers, whatever else draws", () => {
    const draw = (): unknown => {
      const generator = new Generator(42);
      const first = rand([3], { generator });
      rand([5]);
      return [
        first.tolist(),
        randn([2], { generator }).tolist(),
        randint(0, 10, [4], { generator }).tolist(),
      ];
    };
    expect(draw()).toEqual(draw());
  });

  test("a saved state goes on where it was", () => {
    const generator = new Generator(1);
    rand([7], { generator });
    const state = generator.state;
    const next = rand([3], { generator }).tolist();
    const other = new Generator(99);
    other.state = state;
    expect(rand([3], { generator: other }).tolist()).toEqual(next);
  });

  test("manualSeed sets the default stream", () => {
    engine.manualSeed(5);
    const a = randn([3]).tolist();
    engine.manualSeed(5);
    expect(randn([3]).tolist()).toEqual(a);
    expect(randn([3]).tolist()).not.toEqual(a);
  });
});

describe("reading tensors", () => {
  test("a copy is the caller's own", () => {
    const x = tensor([1, 2]);
    const copy = x.toTypedArray();
    copy[0] = 9;
    expect(x.tolist()).toEqual([1, 2]);
  });

  test("a shared array is the tensor's memory, and outlives it", () => {
    const x = tensor([1, 2]);
    const shared = x.shareTypedArray() as Float32Array;
    shared[0] = 9;
    expect(x.tolist()).toEqual([9, 2]);
    x.free();
    expect([...shared]).toEqual([9, 2]);
    expect(x.shareTypedArray).toThrow();
  });

  test("sharing what is not contiguous is refused with the way out", () => {
    const transposed = engine.tensorOp("aten::t")(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    );
    expect(transposed.isContiguous).toBe(false);
    expect(transposed.strides).toEqual([1, 2]);
    expect(() => transposed.shareTypedArray()).toThrow(
      /contiguous tensor on the CPU; copy with toTypedArray/,
    );
    expect([...(transposed.toTypedArray() as Float32Array)]).toEqual([1, 3, 2, 4]);
  });

  test("item refuses more than one element and what a number cannot hold", () => {
    expect(() => tensor([1, 2]).item()).toThrow(/one element, got 2/);
    expect(() => tensor(new BigInt64Array([2n ** 60n])).item()).toThrow(/does not fit a JavaScript number/);
  });

  test("a freed tensor says so for every use", () => {
    const x = tensor([1]);
    x.free();
    x.free();
    const freed = expect.objectContaining({ code: "FREED" });
    expect(x.isFreed).toBe(true);
    for (const use of [
      () => x.shape,
      () => x.dtype,
      () => x.item(),
      () => x.toTypedArray(),
      () => x.grad,
      () => x.tolist(),
    ]) {
      expect(use).toThrow(freed);
    }
    expect(String(x)).toBe("Tensor(freed)");
  });
});

describe("printing", () => {
  test("values, dtype and shape, aligned", () => {
    expect(
      String(
        tensor([
          [1, -2],
          [30, 4],
        ]),
      ),
    ).toBe(
      "tensor([[  1.,  -2.],\n        [ 30.,   4.]], float32 [2, 2])"
        .replaceAll("  ", "  ")
        .replace("[[  1.,  -2.]", "[[ 1., -2.]")
        .replace("[ 30.,   4.]", "[30.,  4.]"),
    );
    expect(inspect(tensor(3, { dtype: "int64" }))).toBe("tensor(3, int64 [])");
    expect(String(tensor([true, false]))).toBe("tensor([ true, false], bool [2])");
    expect(String(tensor([0.5, Number.NaN, Number.NEGATIVE_INFINITY]))).toBe(
      "tensor([0.5000,    nan,   -inf], float32 [3])",
    );
  });

  test("long tensors are cut in the middle", () => {
    const text = String(arange(2000));
    expect(text).toContain("...");
    expect(text.length).toBeLessThan(120);
  });
});

describe("what a user may get wrong or look at", () => {
  test("bigints give int64, exactly; what is no number is named", () => {
    const big = 2n ** 60n + 1n;
    const x = tensor([[big, 1n]]);
    expect([x.dtype, x.shape]).toEqual(["int64", [1, 2]]);
    expect([...x.toTypedArray()]).toEqual([big, 1n]);
    expect(String(x)).toBe(`tensor([[${big},                   1]], int64 [1, 2])`);
    expect(() => x.tolist()).toThrow(/tolist: 1152921504606846977 does not fit .*toTypedArray/);
    expect(() => tensor([1n, 0.5])).toThrow(/integers beside bigints, got 0.5/);
    expect(() => tensor([1, "a"] as never)).toThrow(/got "a" among them/);
  });

  test("arrays over shared memory are read", () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([1, 2]);
    expect(fromTypedArray(shared, [2]).tolist()).toEqual([1, 2]);
  });

  test("printing tells of gradients, and never throws", () => {
    expect(String(tensor([1.5], { requiresGrad: true }))).toBe("tensor([1.5000], float32 [1], requiresGrad)");
    expect(String(op("aten::to_sparse")(zeros([3])))).toBe("tensor(..., float32 [3])");
    expect(String(op("aten::zeros")([3], { device: "meta" }))).toBe("tensor(..., float32 [3], meta)");
    expect(String(op("aten::fft_fft")(zeros([3])))).toBe("tensor(..., complex64 [3])");
  });

  test.each<[string, () => unknown, string, RegExp]>([
    ["a fractional seed", () => new Generator(0.5), "BAD_ARGUMENT", /Generator: .*got 0.5/],
    ["a seed that is no number", () => manualSeed(Number.NaN), "BAD_ARGUMENT", /manualSeed: .*got NaN/],
    ["a seed of 65 bits", () => new Generator(2n ** 64n), "BAD_ARGUMENT", /64 bits/],
    ["an unknown device", () => new Generator(1, "gpu" as never), "BAD_ARGUMENT", /"gpu".*"cpu"/],
    ["a state of a freed tensor", () => stateOfFreed(), "FREED", /has been freed/],
    ["storages of a freed tensor", () => sharesStorage(freed(), zeros([1])), "FREED", /has been freed/],
    ["a gradient that is no tensor", () => setGradient(3), "BAD_ARGUMENT", /grad: .*got number/],
    ["elements of a meta tensor", () => meta().toTypedArray(), "OP_FAILED", /toTypedArray: /],
    ["more threads than any machine has", () => setNumThreads(2 ** 31), "BAD_ARGUMENT", /1 to 1024/],
    ["an operator named by a number", () => op(5 as never), "BAD_ARGUMENT", /op: .*got 5/],
    ["a backend that is not there", () => notThere(), "OP_FAILED", /no kernel for it there[^.]*\n {2}self: /],
  ])("%s is an EngineError", (_, body, code, message) => {
    const thrown = (() => {
      try {
        body();
      } catch (error) {
        return error;
      }
      return undefined;
    })();
    expect(thrown).toBeInstanceOf(EngineError);
    expect(thrown).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  function freed(): Tensor {
    const x = zeros([1]);
    x.free();
    return x;
  }
  function meta(): Tensor {
    return op("aten::zeros")([3], { device: "meta" }) as Tensor;
  }
  function stateOfFreed(): void {
    new Generator(1).state = freed();
  }
  function setGradient(value: unknown): void {
    zeros([1]).grad = value as Tensor;
  }
  /** No build of libtorch has a kernel for sparse tensors there. */
  function notThere(): unknown {
    return op("aten::cumsum")(op("aten::to_sparse")(zeros([3])) as Tensor, 0);
  }
});
