import { type ModelSpec, parseModelSpec } from "@sepc/core";
import { finishBatch, readModelSpec, type TensorData } from "@sepc/core/runtime";
import { fromTypedArray, inferenceMode, manualSeed, nn, noGrad, randn, scope } from "@sepc/engine";
import * as ort from "onnxruntime-node";
import { beforeEach, describe, expect, test } from "vitest";
import {
  buildDetector,
  type DetectorNetwork,
  detectorNames,
  parseDetector,
} from "../../src/detectors/index.js";
import { type ExportModelOptions, exportModel } from "../../src/export/exportModel.js";
import { halfBits } from "../../src/export/onnx/half.js";
import { TOWERS } from "../../src/presets/index.js";
import { predict } from "../../src/train/predict.js";

const classes = ["cat", "dog", "newt"];
const description = {
  name: "tiny",
  classes,
  input: {
    scale: [320, 320],
    sizeDivisor: 32,
    mean: [0, 0, 0],
    std: [1, 1, 1],
    channels: "rgb",
  },
} as const;

beforeEach(() => manualSeed(11));

function tiny(detector: string, tower: object, more: object = {}): DetectorNetwork {
  const config = parseDetector({
    detector,
    backbone: { depth: 18, width: 8, frozenStages: 0 },
    neck: { channels: 16 },
    tower: { ...tower, depth: 1 },
    postprocess: { scoreThreshold: 0.012, iouThreshold: 0.47, perLevel: 60 },
    ...more,
  });
  const network = buildDetector(config, classes.length);
  noGrad(() => {
    for (const [name, { tensor }] of network.namedParameters()) {
      // Offsets as after training, and scores that stand apart: equal ones may come in any order.
      if (name.includes("conv_offset")) nn.init.normal_(tensor, 0, 0.05);
      else if (/cls(Conv|Out)?\.weight$/.test(name)) nn.init.normal_(tensor, 0, 0.1);
    }
  });
  return network.eval() as DetectorNetwork;
}

type Outputs = Readonly<Record<string, TensorData>>;

async function runner(
  bytes: Uint8Array,
): Promise<(pixels: Float32Array, shape: number[]) => Promise<Outputs>> {
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  return async (pixels, shape) =>
    (await session.run({ images: new ort.Tensor("float32", pixels, shape) })) as unknown as Outputs;
}

const picture = (shape: number[]): Float32Array => scope(() => randn(shape).toTypedArray() as Float32Array);

/** Score and box of every candidate of an image by its prior. */
function byPrior(outputs: Outputs, image: number): Map<number, number[]> {
  const { scores, boxes, priors, factors } = outputs as Record<string, TensorData>;
  const [, K, C] = scores?.dims as [number, number, number];
  const rows = new Map<number, number[]>();
  for (let k = image * K; k < (image + 1) * K; k++) {
    const part = (from: TensorData | undefined, width: number): number[] =>
      from === undefined ? [] : Array.from((from.data as Float32Array).subarray(k * width, (k + 1) * width));
    rows.set(Number(priors?.data[k]), [...part(scores, C), ...part(boxes, 4), ...part(factors, 1)]);
  }
  return rows;
}

function engineOutputs(network: DetectorNetwork, pixels: Float32Array, shape: number[]): Outputs {
  return scope(() =>
    inferenceMode(() => {
      const found = network.candidates(network.forward(fromTypedArray(pixels, shape)));
      const data = (name: "scores" | "boxes" | "priors" | "factors"): [string, TensorData][] => {
        const tensor = found[name];
        if (tensor === null) return [];
        const own = tensor.contiguous();
        return [[name, { type: "float32", data: own.toTypedArray() as Float32Array, dims: own.shape }]];
      };
      return Object.fromEntries([...data("scores"), ...data("boxes"), ...data("priors"), ...data("factors")]);
    }),
  );
}

/** Sizes that were not recorded: one picture, two, and the smallest that is. */
const shapes = [
  [1, 3, 192, 256],
  [2, 3, 160, 96],
  [1, 3, 32, 32],
];

async function expectSame(
  network: DetectorNetwork,
  options: ExportModelOptions,
  sizes = shapes,
): Promise<void> {
  const detector = "any";
  const run = await runner(await exportModel(network, { ...description, detector }, options));
  for (const shape of sizes) {
    const pixels = picture(shape);
    const [ours, theirs] = [engineOutputs(network, pixels, shape), await run(pixels, shape)];
    expect(theirs.scores?.dims).toEqual(ours.scores?.dims);
    for (let image = 0; image < (shape[0] as number); image++) {
      const [mine, other] = [byPrior(ours, image), byPrior(theirs, image)];
      // Rounding may decide which of two equals is among the best.
      const shared = [...mine.keys()].filter((prior) => other.has(prior));
      expect(shared.length).toBeGreaterThanOrEqual(mine.size - 1);
      for (const prior of shared)
        for (const [i, value] of (mine.get(prior) as number[]).entries())
          expect(Math.abs((other.get(prior)?.[i] as number) - value)).toBeLessThan(
            1e-4 * Math.max(1, Math.abs(value)),
          );
    }
  }
}

describe.each(detectorNames)("%s gives the same numbers in onnxruntime", (detector) => {
  test.each(Object.entries(TOWERS))("with %s", async (name, tower) => {
    const network = tiny(detector, tower);
    await expectSame(network, {});
    if (/sepc|dcn/.test(name)) await expectSame(network, { portable: true });
    network.free();
  });
});

test("group normalisation and separate levels of normalisation", async () => {
  for (const norm of ["group", "independent", "shared"]) {
    const network = tiny("retinanet", { kind: "pconv", norm });
    await expectSame(network, {}, [[1, 3, 96, 128]]);
    network.free();
  }
});

test("the official code's cut maps", async () => {
  const network = tiny(
    "retinanet",
    { kind: "sepc", norm: "integrated", extraPadding: 0 },
    { legacyBoxes: true },
  );
  await expectSame(network, {}, [[1, 3, 384, 480]]);
  network.free();
});

describe.each([
  ["retinanet", {}],
  ["retinanet", { legacyBoxes: true }],
  ["fsaf", {}],
  ["fcos", {}],
])("%s %j: suppression in the graph", (detector, more) => {
  test("finds the same objects", async () => {
    const network = tiny(detector, TOWERS["sepc-lite"], more);
    const bytes = await exportModel(network, { ...description, detector }, { suppress: true });
    const spec = readModelSpec(bytes);
    expect(spec).toMatchObject({ output: "detections", classes, precision: "float32" });
    const [pixels, shape] = [picture([2, 3, 192, 256]), [2, 3, 192, 256] as [number, number, number, number]];
    const outputs = await (await runner(bytes))(pixels, shape);
    expect(outputs.boxes?.dims).toEqual([outputs.scores?.data.length, 4]);
    // No padding and, where a pixel more counts, no scale: the graph knows neither.
    const scale = "legacyBoxes" in more ? 1 : 0.5;
    const frame = { inputWidth: 256, inputHeight: 192, scaleX: scale, scaleY: scale };
    const frames = [frame, frame];
    const images: TensorData = { type: "float32", data: pixels, dims: shape };
    const found = finishBatch(spec, { images, frames }, outputs);
    const expected = predict(network, pixels, shape, frames);
    for (const [i, objects] of expected.entries()) {
      expect(found[i]).toHaveLength(objects.length);
      for (const [k, { label, score, box }] of objects.entries()) {
        const close = found[i]?.filter(
          (one) =>
            one.label === label && Math.abs(one.score - score) < 1e-4 && Math.abs(one.box[0] - box[0]) < 0.05,
        );
        expect(close?.length, `object ${k}`).toBeGreaterThan(0);
      }
    }
    network.free();
  });
});

test("float16 is half as large and close", async () => {
  const network = tiny("retinanet", TOWERS["sepc-lite"]);
  const [whole, half] = await Promise.all(
    (["float32", "float16"] as const).map((precision) =>
      exportModel(network, { ...description, detector: "retinanet" }, { precision }),
    ),
  );
  expect((half as Uint8Array).length).toBeLessThan(0.6 * (whole as Uint8Array).length);
  const pixels = picture([1, 3, 96, 128]);
  const [a, b] = await Promise.all(
    [whole, half].map(async (bytes) => (await runner(bytes as Uint8Array))(pixels, [1, 3, 96, 128])),
  );
  const [mine, other] = [byPrior(a as Outputs, 0), byPrior(b as Outputs, 0)];
  const shared = [...mine.keys()].filter((prior) => other.has(prior));
  expect(shared.length).toBeGreaterThan(0.9 * mine.size);
  for (const prior of shared)
    expect(Math.abs((mine.get(prior)?.[0] as number) - (other.get(prior)?.[0] as number))).toBeLessThan(0.02);
  network.free();
});

test("halfBits rounds to the nearest half, ties to even", () => {
  const cases: [number, number][] = [
    [0, 0],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00],
    [Number.POSITIVE_INFINITY, 0x7c00],
    [2 ** -24, 1],
    [2 ** -25, 0],
    [3 * 2 ** -25, 2],
    [2 ** -14, 0x0400],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2 - 2 ** -12, 0x4000],
  ];
  for (const [value, bits] of cases) expect(halfBits(value), String(value)).toBe(bits);
});

test("int8: ranges of the right values are asked for, and the model runs", async () => {
  const network = tiny("retinanet", TOWERS["sepc-lite"]);
  const pixels = picture([1, 3, 96, 128]);
  const calibrate = async (model: Uint8Array, values: readonly string[]) => {
    const outputs = await (await runner(model))(pixels, [1, 3, 96, 128]);
    return new Map(
      values.map((name) => {
        const data = outputs[name]?.data as Float32Array;
        return [name, [Math.min(...data), Math.max(...data)] as [number, number]];
      }),
    );
  };
  const options = { precision: "int8", calibrate } as const;
  const small = await exportModel(network, { ...description, detector: "retinanet" }, options);
  const whole = await exportModel(network, { ...description, detector: "retinanet" });
  expect(small.length).toBeLessThan(0.6 * whole.length);
  const [a, b] = await Promise.all(
    [whole, small].map(async (bytes) => (await runner(bytes))(pixels, [1, 3, 96, 128])),
  );
  const [mine, other] = [byPrior(a as Outputs, 0), byPrior(b as Outputs, 0)];
  const shared = [...mine.keys()].filter((prior) => other.has(prior));
  expect(shared.length).toBeGreaterThan(0.7 * mine.size);
  const differences = shared.map((prior) =>
    Math.abs((mine.get(prior)?.[0] as number) - (other.get(prior)?.[0] as number)),
  );
  expect(differences.reduce((sum, one) => sum + one) / shared.length).toBeLessThan(0.05);
  network.free();
});

describe("every weight stands in the file once", () => {
  const times = (file: Uint8Array, bytes: Uint8Array): number =>
    Buffer.from(file).toString("latin1").split(Buffer.from(bytes).toString("latin1")).length - 1;
  const kernelsOf = (network: DetectorNetwork): [string, Float32Array][] =>
    [...network.namedParameters()]
      .filter(([, { tensor }]) => tensor.ndim === 4)
      .map(([name, { tensor }]) => [name, tensor.contiguous().toTypedArray() as Float32Array]);

  test.each([
    ["pconv-ibn", {}],
    ["sepc-lite", {}],
    ["sepc", {}],
    ["sepc", { portable: true }],
    ["dcn", { portable: true }],
  ] as const)("%s %j", async (tower, options) => {
    const network = tiny("retinanet", TOWERS[tower]);
    const file = await exportModel(network, { ...description, detector: "retinanet" }, options);
    for (const [name, values] of kernelsOf(network))
      expect(times(file, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)), name).toBe(1);
    network.free();
  });

  test("in 8 bits too, whatever the number of levels that share it", async () => {
    const network = tiny("retinanet", TOWERS["sepc-lite"]);
    const calibrate = (_: Uint8Array, values: readonly string[]) =>
      Promise.resolve(new Map(values.map((name, i) => [name, [-1 - i, 1 + i] as [number, number]])));
    const options = { precision: "int8", calibrate } as const;
    const file = await exportModel(network, { ...description, detector: "retinanet" }, options);
    const tower = kernelsOf(network).filter(([name]) => /pconvs\.\d+\.kernels\.\d+\.weight/.test(name));
    expect(tower).toHaveLength(3);
    for (const [name, values] of tower) {
      const first = values.subarray(0, values.length / 16);
      const scale = first.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
      const small = Int8Array.from(first, (value) => Math.round(value / scale));
      expect(times(file, new Uint8Array(small.buffer)), name).toBe(1);
    }
    network.free();
  });
});

test("views: the pyramid's maps and the kernels' offsets", async () => {
  const network = tiny("fcos", TOWERS.sepc);
  const bytes = await exportModel(network, { ...description, detector: "fcos" }, { views: true });
  const { views } = readModelSpec(bytes) as ModelSpec & Required<Pick<ModelSpec, "views">>;
  expect(views?.features.map(({ level }) => level)).toEqual(
    expect.arrayContaining(["p3", "p7", "p3 class branch", "p7 box branch"]),
  );
  const outputs = await (await runner(bytes))(picture([1, 3, 128, 128]), [1, 3, 128, 128]);
  for (const { output, stride } of views?.features ?? [])
    expect(outputs[output]?.dims).toEqual([1, 16, 128 / stride, 128 / stride]);
  expect(views?.offsets.length).toBeGreaterThan(8);
  for (const { output, stride, kernelSize, level } of views?.offsets ?? []) {
    expect(level).not.toBe("p3");
    expect(outputs[output]?.dims).toEqual([1, 2 * kernelSize ** 2, 128 / stride, 128 / stride]);
  }
  network.free();
});

describe("refuses", () => {
  test("what cannot be both", async () => {
    const network = tiny("retinanet", TOWERS.fpn);
    const with_ = (options: ExportModelOptions) =>
      exportModel(network, { ...description, detector: "retinanet" }, options);
    await expect(with_({ portable: true, precision: "float16" })).rejects.toThrow(/--portable or float16/);
    await expect(with_({ precision: "int8" })).rejects.toThrow(/--calibrate/);
    network.free();
    const soft = tiny("retinanet", TOWERS.fpn, { postprocess: { suppression: "softLinear" } });
    await expect(
      exportModel(soft, { ...description, detector: "retinanet" }, { suppress: true }),
    ).rejects.toThrow(/without --nms/);
    soft.free();
  });

  test.each([
    ["no ONNX file", new Uint8Array([1, 2, 3]), /not an ONNX file/],
    ["an empty file", new Uint8Array(), /no graph/],
    ["a graph of other software", new Uint8Array([8, 9, 58, 2, 18, 0]), /not of sepc export/],
    ["a file cut short", new Uint8Array([8, 9, 58, 200, 1, 18, 0]), /cut short/],
  ])("%s", (_, bytes, message) => {
    expect(() => readModelSpec(bytes, "m.onnx")).toThrow(message);
    expect(() => readModelSpec(bytes, "m.onnx")).toThrow(/m\.onnx/);
  });

  test("a description of another version, or with parts missing", () => {
    expect(() => parseModelSpec('{"format": 2}', "m.onnx")).toThrow(/format 1, got 2/);
    expect(() => parseModelSpec("{", "m.onnx")).toThrow(/not JSON/);
    expect(() => parseModelSpec('{"format": 1, "name": "x", "detector": "y", "classes": []}')).toThrow(
      /"classes"/,
    );
  });
});
