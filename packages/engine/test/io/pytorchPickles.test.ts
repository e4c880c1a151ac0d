// Pickles that no PyTorch would write.
import { describe, expect, test } from "vitest";
import { io, scope, sharesStorage, type Tensor } from "../../src/index.js";
import { describeValue } from "./describe.js";
import { type Code, checkpoint, legacy, p, storage, tensorCode } from "./pickleWriter.js";
import { refusal } from "./refusal.js";

const read = (object: Code, options?: io.ReadPyTorchOptions): io.PyTorchValue =>
  io.parsePyTorch(checkpoint(object), options);

function many(count: number, code: string): string {
  return code.repeat(count);
}

describe("what names code is refused by name, and never run", () => {
  const attacks: [string, Code, RegExp][] = [
    ["os.system", p.reduce(p.global("os", "system"), p.text("exit 1")), /"os\.system"/],
    ["posix.system", p.reduce(p.global("posix", "system"), p.text("exit 1")), /"posix\.system"/],
    ["eval", p.reduce(p.global("builtins", "eval"), p.text("1")), /"builtins\.eval"/],
    ["Python 2's eval", p.reduce(p.global("__builtin__", "eval"), p.text("1")), /"__builtin__\.eval"/],
    ["getattr", p.global("builtins", "getattr"), /"builtins\.getattr"/],
    ["a dotted name", [p.text("torch"), p.text("os.system"), "\x93"], /"torch\.os\.system"/],
    ["torch.load", p.global("torch", "load"), /"torch\.load"/],
    ["numpy.load", p.global("numpy", "load"), /"numpy\.load"/],
    ["JavaScript's names", p.global("constructor", "__proto__"), /"constructor\.__proto__"/],
    ["a name with escapes", p.global("\x1b[31mos", "system"), /"\\u001b\[31mos\.system"/],
  ];
  test.each(attacks)("%s", (_name, code, message) => {
    for (const bytes of [checkpoint(code), legacy(code)]) {
      expect(refusal(bytes)).toMatch(/^PYTORCH_UNSAFE: memory: expected tensors and plain values/);
      expect(refusal(bytes)).toMatch(message);
    }
  });

  test("ignored, they become names with arguments", () => {
    const code = p.reduce(p.global("os", "system"), p.text("exit 1"));
    expect(describeValue(read(code, { unknown: "ignore" }))).toEqual({
      $object: "os.system",
      args: ["exit 1"],
    });
    const built = [code, p.dict([p.text("a"), p.integer(1)]), p.build];
    expect(describeValue(read(built, { unknown: "ignore" }))).toMatchObject({
      state: { $dict: [["a", 1]] },
    });
  });

  test("a name that no pickle around the object may hold", () => {
    const bytes = legacy(p.none, { keys: p.list(p.global("collections", "OrderedDict")) });
    expect(refusal(bytes)).toMatch(/^PYTORCH_INVALID: .*plain values before and after/);
  });
});

describe("malformed pickles", () => {
  const ordered = p.reduce(p.global("collections", "OrderedDict"));
  const cases: [string, Code, RegExp][] = [
    ["an empty one", "", /byte \d+: takes a value from an empty stack/],
    ["a pop too many", ["N0", "0"], /closes a mark that is not open/],
    ["a tuple of nothing", "\x86", /empty stack/],
    ["a mark that is not open", ["N", "t"], /mark that is not open/],
    ["a pop through a mark", ["N(", "\x85"], /empty stack/],
    ["values left over", ["N", "N"], /left over/],
    ["an open mark", ["(", "N"], /left over|empty stack/],
    ["an unknown opcode", "\xff", /expected an opcode.*0xff/],
    ["a newer protocol", "\x80\x06N", /protocol of at most 5/],
    ["an empty memo", p.get(3), /entry 3 of its memo/],
    ["a far memo", ["N", p.put(0xfffffff0)], /entries on its memo/],
    ["text longer than the file", ["X\xff\xff\xff\xff"], /claims 4294967295 bytes, expected 0 to/],
    ["bytes of a negative length", ["T\xff\xff\xff\xff"], /claims -1 bytes, expected 0 to/],
    ["bytes of 2^63", ["\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"], /claims 9223372036854776000 bytes/],
    ["a frame past the end", ["\x95\xff\xff\xff\x7f\0\0\0\0N"], /claims/],
    ["text that is no UTF-8", ["X\x02\0\0\0\xff\xfe"], /UTF-8/],
    ["a number that is none", "Fabc\n", /expected a number/],
    ["an integer that is none", "I1e5\n", /expected an integer/],
    ["a line without an end", "Iaaaa", /expected 6 more bytes, got 5/],
    ["a line too long", `I${"a".repeat(2000)}`, /expected a line of at most 1000 bytes/],
    ["text longer than what is left", "X\xff\0\0\0", /expected 255 more bytes/],
    ["a key without a value", ["}(N", "u"], /key without a value/],
    ["an item put into text", [p.text("a"), "(NN", "u"], /sets items of string "a"/],
    ["an item put into a tensor", [tensorCode(), "(NN", "u"], /sets items of a tensor of float32 \[4\]/],
    ["appending to a dict", "}(Ne", /appends to a dict/],
    ["a call of text", p.reduce(p.text("eval"), p.none), /calls string "eval"/],
    ["a call of a dict", [ordered, ")R"], /calls a dict/],
    [
      "a call without a tuple",
      [p.global("collections", "OrderedDict"), "N", "R"],
      /tuple of arguments, got None/,
    ],
    ["a call of a storage's class", p.reduce(p.global("torch", "FloatStorage")), /"torch.FloatStorage"/],
    ["state of a list", ["]", "N", "b"], /sets the state of a list/],
    ["state of a tensor", [tensorCode(), "N", "b"], /sets the state of a tensor/],
    ["state of a name", [p.global("collections", "OrderedDict"), "N", "b"], /sets the state of/],
    ["pairs that are none", p.reduce(p.global("collections", "OrderedDict"), p.list(p.none)), /pairs of key/],
    [
      "a size that is none",
      p.reduce(p.global("torch", "Size"), p.list(p.text("a"))),
      /torch\.Size: expected/,
    ],
    ["a device that is none", p.reduce(p.global("torch", "device"), p.none), /torch\.device: expected/],
    [
      "an array without contents",
      p.reduce(p.global("numpy.core.multiarray", "_reconstruct")),
      /without contents/,
    ],
  ];
  test.each(cases)("%s", (_name, code, message) => {
    for (const bytes of [checkpoint(code), legacy(code)]) {
      expect(refusal(bytes)).toMatch(/^(PYTORCH_INVALID|FILE_TRUNCATED): memory: /);
    }
    expect(refusal(checkpoint(code))).toMatch(message);
  });

  const dtype = p.reduce(p.global("numpy", "dtype"), p.text("f4"));
  const array = (shape: Code, ...state: Code[]): Code => [
    p.reduce(p.global("numpy.core.multiarray", "_reconstruct")),
    p.tuple(p.integer(1), shape, ...state),
    p.build,
  ];
  const eight: Code = ["C\x08", new Uint8Array(8)];
  const arrays: [string, Code, RegExp][] = [
    [
      "too few bytes",
      array(p.tuple(p.integer(3)), dtype, p.no, eight),
      /expected 12 bytes for its shape, got 8/,
    ],
    ["a size below zero", array(p.tuple(p.integer(-2)), dtype, p.no, eight), /non-negative integers/],
    ["no dtype", array(p.tuple(p.integer(2)), p.none, p.no, eight), /expected a dtype, got None/],
    ["an overflowing shape", array(integers([2 ** 40, 2 ** 40, 0]), dtype, p.no, eight), /numpy array/],
    [
      "objects",
      array(p.tuple(p.integer(1)), p.reduce(p.global("numpy", "dtype"), p.text("O8")), p.no, p.list(p.none)),
      /numpy arrays of dtype O8 cannot be read/,
    ],
  ];
  test.each(arrays)("NumPy: %s", (_name, code, message) => {
    expect(refusal(checkpoint(code))).toMatch(message);
  });
});

function integers(values: readonly number[]): Code {
  return p.tuple(...values.map(p.integer));
}

describe("tensors that do not fit their storage", () => {
  const large = 2n ** 62n;
  const cases: [string, Code, RegExp][] = [
    ["too long", tensorCode({ size: [5] }), /ends at element 5 of its storage "0", which has 4/],
    ["an offset too far", tensorCode({ offset: p.integer(1) }), /ends at element 5/],
    ["a stride too long", tensorCode({ size: [2], stride: [4] }), /ends at element 5/],
    ["a negative size", tensorCode({ size: [-1] }), /shape: expected .* non-negative/],
    ["a negative stride", tensorCode({ stride: [-1] }), /strides: expected .* non-negative/],
    ["a negative offset", tensorCode({ offset: p.integer(-1) }), /non-negative integer as offset/],
    ["a fractional offset", tensorCode({ offset: "F0.5\n" }), /non-negative integer as offset/],
    ["fewer strides", tensorCode({ size: [2, 2] }), /as many strides as sizes/],
    ["sizes that overflow", tensorCode({ size: [large, 4, 0], stride: [0, 0, 0] }), /non-negative|2\^53/],
    [
      "a product that overflows",
      tensorCode({ size: [2 ** 40, 2 ** 40], stride: [0, 0] }),
      /less than 2\^53 bytes/,
    ],
    [
      "an empty one with strides that overflow",
      tensorCode({ size: [0, 2 ** 30], stride: [1, 2 ** 40] }),
      /2\^53/,
    ],
    ["65 dimensions", tensorCode({ size: Array(65).fill(1), stride: Array(65).fill(1) }), /at most 64/],
    ["no storage", tensorCode({ over: p.none }), /expected a storage, got None/],
    [
      "a storage the file has not",
      tensorCode({ over: storage({ key: "7" }) }),
      /storage "7"|each once, got string "0"/,
    ],
    [
      "a storage outside of its folder",
      tensorCode({ over: storage({ key: "../data.pkl" }) }),
      /storage "..\/data|each once, got string "0"/,
    ],
    [
      "a storage larger than the file's",
      tensorCode({ over: storage({ numel: 5 }) }),
      /expected (20 bytes|5 elements)/,
    ],
    [
      "a negative number of elements",
      tensorCode({ over: storage({ numel: -1 }) }),
      /key and number of elements/,
    ],
    [
      "a giant number of elements",
      tensorCode({ over: storage({ numel: 2 ** 52 }) }),
      /number of elements|elements, got/,
    ],
    [
      "no class of a storage",
      tensorCode({ over: storage({ type: "Size" }) }),
      /expected the class of a storage/,
    ],
    [
      "two classes of one storage",
      p.list(tensorCode(), tensorCode({ over: storage({ type: "IntStorage" }) })),
      /storage "0": expected 4 float32 as before, got 4 int32/,
    ],
    [
      "a view outside of its storage",
      tensorCode({ over: storage({ view: p.tuple(p.text("1"), p.integer(2), p.integer(3)) }) }),
      /expected a view inside its 4 elements/,
    ],
    [
      "a reference to something else",
      [p.tuple(p.text("file"), p.none), "Q"],
      /expected the reference of a storage/,
    ],
    ["a reference that is text", [p.text("storage"), "Q"], /expected the reference of a storage/],
  ];
  test.each(cases)("%s", (_name, code, message) => {
    for (const bytes of [checkpoint(code), legacy(code)]) {
      expect(refusal(bytes)).toMatch(/^PYTORCH_INVALID: memory: /);
      expect(refusal(bytes)).toMatch(message);
    }
  });

  test("a storage of elements that cannot be read", () => {
    const code = storage({ type: "ComplexDoubleStorage", numel: 1 });
    expect(refusal(checkpoint(code))).toMatch(/^PYTORCH_INVALID: .*storages of complex128 cannot be read/);
    expect(describeValue(read(code, { unknown: "ignore" }))).toEqual({
      $object: "torch.Storage",
      args: ["complex128", 1],
    });
  });

  test("an expanded tensor and an untyped storage under several dtypes are no faults", () => {
    scope(() => {
      const expanded = read(tensorCode({ size: [3, 2], stride: [0, 2] })) as Tensor;
      expect(expanded.tolist()).toEqual(Array(3).fill([0, 2]));
      const over = storage({ type: "UntypedStorage", numel: 16 });
      const v3 = (name: string, size: number): Code =>
        p.reduce(
          p.global("torch._utils", "_rebuild_tensor_v3"),
          ...[over, p.integer(0), integers([size]), integers([1]), p.no, p.none, p.global("torch", name)],
        );
      const code = p.tuple(v3("float32", 4), v3("int64", 2), tensorCode({ over, size: [16] }));
      const [floats, longs, bytes] = read(code) as [Tensor, Tensor, Tensor];
      expect([floats.dtype, longs.dtype, bytes.dtype]).toEqual(["float32", "int64", "uint8"]);
      expect(floats.tolist()).toEqual([0, 1, 2, 3]);
      expect(sharesStorage(floats, longs) && sharesStorage(longs, bytes)).toBe(true);
      expect(refusal(checkpoint(v3("int64", 3)))).toMatch(/which has 2/);
    });
  });

  test("views of storages, as files before 0.4 have them", () => {
    scope(() => {
      const view = p.tuple(p.text("1"), p.integer(1), p.integer(3));
      const part = tensorCode({ over: storage({ view }), offset: p.integer(1), size: [2] });
      for (const bytes of [checkpoint(p.list(tensorCode(), part)), legacy(p.list(tensorCode(), part))]) {
        const [whole, seen] = io.parsePyTorch(bytes) as [Tensor, Tensor];
        expect(seen.tolist()).toEqual([2, 3]);
        expect(sharesStorage(whole, seen)).toBe(true);
      }
    });
  });

  test("a bool of another byte than 0 and 1 is true", () => {
    scope(() => {
      const code = tensorCode({ over: storage({ type: "BoolStorage" }) });
      const bytes = legacy(code, { storages: [[4, Uint8Array.of(0, 1, 2, 255)]] });
      expect((io.parsePyTorch(bytes) as Tensor).toTypedArray()).toEqual(Uint8Array.of(0, 1, 1, 1));
    });
  });
});

describe("tensors and parameters as files before 0.4 have them", () => {
  const parameter = p.global("torch.nn.parameter", "Parameter");
  const variable = p.global("torch.autograd.variable", "Variable");
  const floats = p.global("torch", "FloatTensor");
  const layout = p.tuple(storage(), p.integer(2), integers([2]), integers([1]));
  const cases: [string, Code, number[], boolean][] = [
    ["a parameter of data", p.reduce(parameter, tensorCode()), [0, 1, 2, 3], true],
    ["a parameter that is frozen", p.reduce(parameter, tensorCode(), p.no), [0, 1, 2, 3], false],
    [
      "a variable with its state",
      [p.reduce(variable, tensorCode()), p.tuple(p.yes, p.no, p.none), p.build],
      [0, 1, 2, 3],
      true,
    ],
    [
      "a variable that is all state",
      [variable, ")\x81", p.tuple(tensorCode(), p.none, p.none, p.yes, p.no), p.build],
      [0, 1, 2, 3],
      true,
    ],
    ["a tensor made first", [floats, ")\x81", layout, p.build], [2, 3], false],
    ["a tensor of a storage", [floats, layout, "R"], [2, 3], false],
  ];
  test.each(cases)("%s", (_name, code, elements, requiresGrad) => {
    scope(() => {
      for (const bytes of [checkpoint(p.list(code, tensorCode())), legacy(p.list(code, tensorCode()))]) {
        const [made, other] = io.parsePyTorch(bytes) as [Tensor, Tensor];
        expect([made.tolist(), made.requiresGrad, made.isLeaf]).toEqual([elements, requiresGrad, true]);
        expect(sharesStorage(made, other)).toBe(true);
      }
    });
  });

  test.each([
    ["nothing in it", [parameter, ")\x81"], /a tensor without contents/],
    ["data that are none", p.reduce(parameter, p.none), /variable: expected a tensor, got None/],
    [
      "a state that is none",
      [parameter, ")\x81", p.none, p.build],
      /expected a state of 3 to 5 values, got None/,
    ],
    [
      "flags alone",
      [parameter, ")\x81", p.tuple(p.yes, p.no, p.none), p.build],
      /expected a tensor, got nothing/,
    ],
  ] as [string, Code, RegExp][])("refused: %s", (_name, code, message) => {
    expect(refusal(checkpoint(code))).toMatch(/^PYTORCH_INVALID: memory: /);
    expect(refusal(checkpoint(code))).toMatch(message);
  });
});

describe("pickles that ask for much", () => {
  const tooMuch: [string, Code, RegExp][] = [
    ["a million lists", many(1_000_001, "]0"), /more than 1000000 objects/],
    ["a deep stack", many(1_000_001, "N"), /entries on its stack/],
    ["many marks", many(10_001, "("), /entries on its marks/],
    [
      "one long list copied again and again",
      [
        p.list(many(100_000, "N")),
        p.put(0),
        ...Array<Code>(100).fill([p.global("builtins", "list"), p.get(0), "\x85R0"]),
      ],
      /copies longer than itself/,
    ],
    ["large numbers as keys", ["}(", manyKeys(20_001), "u"], /large numbers as keys/],
  ];
  test.each(tooMuch)("%s", (_name, code, message) => {
    expect(refusal(checkpoint(code))).toMatch(message);
  });

  test("nesting deeper than any stack, and values that hold themselves", () => {
    const deep = read(["]", many(200_000, "]"), many(200_000, "a")]) as io.PyTorchValue[];
    let depth = 0;
    for (let value: io.PyTorchValue | undefined = deep; Array.isArray(value); value = value[0]) depth++;
    expect(depth).toBe(200_001);
    const itself = read(["]", p.put(0), p.get(0), "a"]) as io.PyTorchValue[];
    expect(itself[0]).toBe(itself);
    const dict = read(["}", p.put(0), p.text("me"), p.get(0), "s"]) as Map<string, unknown>;
    expect(dict.get("me")).toBe(dict);
  });

  test("a list that refers to one list many times does not grow", () => {
    const doubled = Array.from({ length: 40 }, (_, i) => [p.get(i), p.get(i), "\x86", p.put(i + 1), "0"]);
    let value = read([")", p.put(0), "0", ...doubled, p.get(40)]);
    for (let i = 0; i < 40; i++) value = (value as io.PyTorchValue[])[0] as io.PyTorchValue;
    expect(value).toEqual([]);
  });

  test("keys: the last of two values stays, and any text is a key", () => {
    const code = p.dict(
      [p.text("a"), p.integer(1)],
      [p.text("__proto__"), p.dict([p.text("polluted"), p.yes])],
      [p.text("a"), p.integer(2)],
    );
    const dict = read(code) as Map<string, unknown>;
    expect([...dict.keys()]).toEqual(["a", "__proto__"]);
    expect(dict.get("a")).toBe(2);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

function manyKeys(count: number): Code {
  return Array.from({ length: count }, (_, i) => [p.integer(2 ** 40 + i), "N"]);
}

test("of a dict only the wanted entries are read", () => {
  const broken = tensorCode({ over: storage({ key: "not in the file" }) });
  const code = p.dict([p.text("epoch"), p.integer(12)], [p.text("optimizer"), broken]);
  expect(() => io.parsePyTorch(checkpoint(code))).toThrow(/not in the file/);
  expect(io.parsePyTorch(checkpoint(code), { keys: ["epoch", "none"] })).toEqual(new Map([["epoch", 12]]));
});
