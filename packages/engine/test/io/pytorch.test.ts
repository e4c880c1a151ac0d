import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { EngineError, io, liveTensors, scope, sharesStorage, Tensor } from "../../src/index.js";
import { type Description, describeValue } from "./describe.js";

const fixtures = fileURLToPath(new URL("fixtures/", import.meta.url));
const path = (name: string): string => join(fixtures, name);
const formats = ["zip", "legacy"] as const;
const versions = ["1.13", "2.15"] as const;
const files = versions.flatMap((version) => formats.map((format) => `${version}-${format}`));

type Values = Map<string, io.PyTorchValue>;
const read = (name: string, options?: io.ReadPyTorchOptions): Values =>
  io.readPyTorch(path(name), options) as Values;

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof EngineError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing thrown";
}

describe.each(versions)("files of PyTorch %s", (version) => {
  const expected = JSON.parse(readFileSync(path(`expected-${version}.json`), "utf8")) as Record<
    string,
    Description
  >;
  const cases = Object.entries(expected).flatMap(([name, value]) =>
    formats.map((format) => [`${name}-${version}-${format}.pt`, value] as const),
  );

  test.each(cases)("%s has all that was saved", (name, value) => {
    expect(describeValue(io.readPyTorch(path(name)))).toEqual(value);
  });

  test("the cases are there", () => {
    expect(Object.keys(expected)).toEqual([
      "dtypes",
      "layouts",
      "values",
      "parameters",
      "torchvision_like",
      "training",
      "storages",
      "protocol4",
      "protocol5",
    ]);
  });
});

describe.each(files)("memory, %s", (file) => {
  test("tensors of one storage share it again; others do not", () => {
    scope(() => {
      const layouts = read(`layouts-${file}.pt`) as Map<string, Tensor>;
      const [base, transposed, part, expanded] = ["base", "transposed", "part", "expanded"].map((name) =>
        layouts.get(name),
      ) as [Tensor, Tensor, Tensor, Tensor];
      expect(sharesStorage(base, transposed)).toBe(true);
      expect(sharesStorage(base, part)).toBe(true);
      expect(sharesStorage(base, expanded)).toBe(false);
      expect(part.storageOffset).toBe(16);
      base.shareTypedArray()[16] = -1;
      expect(part.tolist()).toEqual([
        [-1, 18],
        [20, 22],
      ]);
      expect(layouts.get("channels last")?.isChannelsLast).toBe(true);
    });
  });

  test("what was one object is one object", () => {
    scope(() => {
      const [a, b] = read(`layouts-${file}.pt`).get("tied") as unknown as [Tensor, Tensor];
      expect(a).toBe(b);
      const [first, second] = read(`values-${file}.pt`).get("twice") as unknown as [unknown, unknown];
      expect(first).toBe(second);
    });
  });

  test("parameters are leaves that can be trained in place", () => {
    scope(() => {
      const weight = read(`parameters-${file}.pt`).get("weight") as Tensor;
      expect([weight.requiresGrad, weight.isLeaf]).toEqual([true, true]);
    });
  });

  test("tensors belong to the scope around; without one they stay", () => {
    const before = liveTensors();
    scope(() => {
      scope(() => read(`dtypes-${file}.pt`));
      expect(liveTensors().tensors - before.tensors).toBe(16);
    });
    expect(liveTensors()).toEqual(before);
    const dtypes = read(`dtypes-${file}.pt`) as Map<string, Tensor>;
    expect(liveTensors().tensors - before.tensors).toBe(16);
    for (const tensor of dtypes.values()) tensor.free();
    expect(liveTensors()).toEqual(before);
  });
});

describe.each(files)("state dicts, %s", (file) => {
  const names = [
    "conv1.weight",
    "conv1.bias",
    "bn1.weight",
    "bn1.bias",
    "bn1.running_mean",
    "bn1.running_var",
    "bn1.num_batches_tracked",
    "fc.weight",
    "fc.bias",
  ];

  test("a file that is one, and one beside other things", () => {
    scope(() => {
      const alone = io.readStateDict(path(`torchvision_like-${file}.pt`));
      expect([...alone.keys()]).toEqual(names);
      const trained = io.readStateDict(path(`training-${file}.pt`));
      expect([...trained.keys()]).toEqual(names);
      expect(trained.get("conv1.weight")?.shape).toEqual([2, 1, 3, 3]);
      expect(trained.get("bn1.num_batches_tracked")?.dtype).toBe("int64");
    });
  });

  test("no tensor of the rest is read", () => {
    const before = liveTensors().tensors;
    scope(() => {
      io.readStateDict(path(`training-${file}.pt`));
      expect(liveTensors().tensors - before).toBe(names.length);
    });
  });

  test("a key of one's own, and what is there when it is not", () => {
    scope(() => {
      const custom = path(`custom-${file}.pt`);
      expect([...io.readStateDict(custom, { key: "model", unknown: "ignore" }).keys()]).toEqual(["w"]);
      expect(() => io.readStateDict(custom, { key: "ema", unknown: "ignore" })).toThrow(
        /custom-.*: expected a state dict under "ema"; the file holds "model": a dict of 1; "args": "project.Custom\(...\)"/,
      );
      expect(() => io.readStateDict(path(`training-${file}.pt`), { key: "meta" })).toThrow(
        /expected names and tensors, got string "mmdet_version": string "1.1.0"; readPyTorch reads all/,
      );
    });
  });
});

describe.each(files)("what is no plain value, %s", (file) => {
  test("classes are refused by name, before anything is made", () => {
    const before = liveTensors();
    expect(codeOf(() => read(`custom-${file}.pt`))).toMatch(
      /^PYTORCH_UNSAFE: .*custom-.*got "project.Custom".*unknown: "ignore"/,
    );
    expect(codeOf(() => read(`module-${file}.pt`))).toMatch(/^PYTORCH_UNSAFE: .*"project.Network"/);
    expect(liveTensors()).toEqual(before);
  });

  test("ignored, they are inert objects that say what the file says", () => {
    scope(() => {
      const custom = read(`custom-${file}.pt`, { unknown: "ignore" }).get("args");
      expect(describeValue(custom as io.PyTorchValue)).toEqual({
        $object: "project.Custom",
        args: [],
        state: {
          $dict: [
            ["learning_rate", 0.1],
            [
              "weight",
              { $tensor: "float32", shape: [3], strides: [1], requiresGrad: false, elements: [0, 1, 2] },
            ],
          ],
        },
      });
      const model = read(`module-${file}.pt`, { unknown: "ignore" }).get("model") as io.PickledObject;
      const parameters = (model.state as Values).get("_parameters") as Values;
      expect((parameters.get("weight") as Tensor).tolist()).toEqual([1]);
    });
  });

  test.each([
    ["complex", "tensors of complex64 cannot be read"],
    ["quantized", "quantised tensors cannot be read"],
    ["sparse", "sparse tensors cannot be read"],
  ])("%s tensors are refused, or an inert object stands for each", (kind, message) => {
    const name = `${kind}-${file}.pt`;
    expect(codeOf(() => read(name))).toMatch(
      new RegExp(`^PYTORCH_INVALID: .*${name}: pickle, byte \\d+: ${message}`),
    );
    scope(() => {
      const values = read(name, { unknown: "ignore" });
      expect(values.get("good")).toBeInstanceOf(Tensor);
      expect(values.get("bad")).toBeInstanceOf(io.PickledObject);
    });
  });
});

test("dtypes that this engine has none for are named", () => {
  expect(codeOf(() => read("uint16-2.15-zip.pt"))).toMatch(
    /^PYTORCH_INVALID: .*tensors of uint16 cannot be read/,
  );
});

test("an archive written without checksums is read", () => {
  scope(() => expect((read("unchecked-2.15-zip.pt").get("w") as Tensor).tolist()).toEqual([0, 1, 2]));
});

test("a TorchScript program is refused by name", () => {
  expect(codeOf(() => read("script.pt"))).toMatch(/^PYTORCH_INVALID: .*TorchScript.*torch\.jit\.load/);
});

test("a missing file, a folder, and a wrong option", () => {
  expect(codeOf(() => io.readPyTorch(path("none.pt")))).toMatch(/^FILE: .*none\.pt/);
  expect(codeOf(() => io.readStateDict(fixtures))).toMatch(/^FILE: .*expected a file/);
  const options = { unknown: "skip" } as unknown as io.ReadPyTorchOptions;
  expect(codeOf(() => read("script.pt", options))).toMatch(
    /^BAD_ARGUMENT: .*"refuse" or "ignore", got "skip"/,
  );
});

test("bytes in memory are read as a file is", () => {
  scope(() => {
    const bytes = readFileSync(path("dtypes-2.15-zip.pt"));
    expect(describeValue(io.parsePyTorch(bytes))).toEqual(
      describeValue(io.readPyTorch(path("dtypes-2.15-zip.pt"))),
    );
  });
});
