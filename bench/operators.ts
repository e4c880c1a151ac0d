// The operators of this package against a plain convolution of the same engine and torchvision's deformable convolution
// (Python, same libtorch). 256 to 256 channels, 3×3.
// npm run bench -- operators [--size 512x512] [--threads 2] [--rounds 7] [--levels p4,p5,p6,p7] [--no-peer]
import { parseArgs } from "node:util";
import {
  backward,
  inferenceMode,
  libtorch,
  nn,
  ops,
  randn,
  scope,
  setNumThreads,
  type Tensor,
  tensorOp,
} from "@sepc/engine";
import type * as Ort from "onnxruntime-node";
import type * as OnnxGraph from "../packages/detect/dist/export/onnx/graph.js";
import type * as OnnxProto from "../packages/detect/dist/export/onnx/proto.js";
import type * as DeformConv from "../packages/detect/dist/ops/deformConv.js";
import type * as PyramidBatchNorm from "../packages/detect/dist/ops/pyramidBatchNorm.js";
import type * as UpsampleAdd from "../packages/detect/dist/ops/upsampleAdd.js";
import { Peer, pythonOfSameLibtorch } from "./peer.js";
import { part } from "./product.js";
import { type Contestant, compare, here, report } from "./timer.js";

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    size: { type: "string", default: "512x512" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "7" },
    levels: { type: "string", default: "p4,p5,p6,p7" },
    peer: { type: "boolean", default: true },
  },
});
const [height = 512, width = 512] = options.size.split("x").map(Number);
const [threads, rounds] = [Number(options.threads), Number(options.rounds)];
const channels = 256;
const taps = 9;

const { Graph } = (await part("export/onnx/graph")) as typeof OnnxGraph;
const { encodeModel, valueInfo } = (await part("export/onnx/proto")) as typeof OnnxProto;
const { deformConv2d } = (await part("ops/deformConv")) as typeof DeformConv;
const { pyramidBatchNormRelu } = (await part("ops/pyramidBatchNorm")) as typeof PyramidBatchNorm;
const { upsampleAdd } = (await part("ops/upsampleAdd")) as typeof UpsampleAdd;
const upsample = tensorOp("aten::upsample_bilinear2d");
const cat = tensorOp("aten::cat");

const sizeOf = (level: number): [number, number] => [
  Math.ceil(height / 2 ** level),
  Math.ceil(width / 2 ** level),
];

const trained = (...shape: number[]): Tensor => {
  const made = randn(shape).mul(0.5).detach();
  made.requiresGrad = true;
  return made;
};

interface Subject {
  readonly name: string;
  readonly run: () => Tensor;
}

/** A subject's forward pass, and its forward and backward pass together. */
function contestants({ name, run }: Subject, cotangent: Tensor): [forward: Contestant, both: Contestant] {
  const forward = here(name, () => scope(() => void inferenceMode(() => run())));
  const both = here(name, () => scope(() => void backward(run(), { gradient: cotangent })));
  return [forward, both];
}

async function deformable(level: number, peer: Peer | null): Promise<void> {
  const [h, w] = sizeOf(level);
  const [input, weight, offset] = [
    trained(1, channels, h, w),
    trained(channels, channels, 3, 3),
    trained(1, 2 * taps, h, w),
  ];
  const bias = trained(channels);
  const cotangent = randn([1, channels, h, w]);
  const plain = contestants(
    { name: "plain convolution", run: () => ops.conv2d(input, weight, bias, { padding: 1 }) },
    cotangent,
  );
  const ours = contestants(
    { name: "deformable", run: () => deformConv2d(input, weight, offset, { bias, padding: 1 }) },
    cotangent,
  );
  const against = (step: string): Contestant[] =>
    peer === null ? [] : [peer.contestant("torchvision, Python", `${step}:${h}x${w}`)];
  const macs = channels * channels * taps * h * w;
  report(
    `P${level}, ${h} x ${w}: forward`,
    await compare([plain[0], ours[0], ...against("forward")], { rounds, warmup: 1 }),
  );
  process.stdout.write(
    `  bound: ${((2 * macs) / 1e9).toFixed(2)} GFLOP, and ${(100 * (8 / channels)).toFixed(1)} % more for the samples\n`,
  );
  report(
    `P${level}, ${h} x ${w}: forward and backward`,
    await compare([plain[1], ours[1], ...against("both")], { rounds, warmup: 1 }),
  );
  process.stdout.write(`  bound: ${((6 * macs) / 1e9).toFixed(2)} GFLOP\n`);
  await inOnnxruntime(level);
}

/** By themselves: onnxruntime's threads go on spinning after a call, in the time of whoever comes next. */
async function inOnnxruntime(level: number): Promise<void> {
  const made = await Promise.all([
    onnxDeformable(sizeOf(level), "Conv"),
    onnxDeformable(sizeOf(level), "DeformConv"),
  ]);
  const contestants = made.filter((one) => one !== null);
  if (contestants.length === 0) return;
  const [h, w] = sizeOf(level);
  report(`P${level}, ${h} x ${w}: forward, onnxruntime`, await compare(contestants, { rounds, warmup: 1 }));
}

/** ONNX's operator in onnxruntime, forward only; null where the package is not installed. */
async function onnxDeformable(
  [h, w]: [number, number],
  opType: "Conv" | "DeformConv",
): Promise<Contestant | null> {
  const ort = await import("onnxruntime-node").catch(() => null);
  if (ort === null) return null;
  const [inputs, info] = [
    { x: [1, channels, h, w], offset: [1, 2 * taps, h, w] },
    (name: string, dims: readonly number[]) => valueInfo(name, "float32", dims),
  ];
  const graph = new Graph();
  const weight = graph.tensor("float32", [channels, channels, 3, 3], randomBytes(channels * channels * taps));
  const names = opType === "Conv" ? ["x", weight] : ["x", weight, "offset"];
  const made = graph.node(opType, names, { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  const bytes = encodeModel({
    irVersion: 9,
    producerName: "bench",
    producerVersion: "1",
    opsetImport: [{ domain: "", version: 19 }],
    metadataProps: [],
    graph: {
      name: opType,
      node: graph.nodes,
      initializer: [...graph.initializers.values()],
      input: opType === "Conv" ? [info("x", inputs.x)] : [info("x", inputs.x), info("offset", inputs.offset)],
      output: [info(made, inputs.x)],
    },
  });
  const session = await ort.InferenceSession.create(bytes, {
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
  });
  const fed = (dims: number[]): Ort.Tensor =>
    new ort.Tensor("float32", new Float32Array(randomBytes(dims.reduce((a, b) => a * b)).buffer), dims);
  const feeds: Record<string, Ort.Tensor> =
    opType === "Conv" ? { x: fed(inputs.x) } : { x: fed(inputs.x), offset: fed(inputs.offset) };
  return {
    name: `onnxruntime ${opType}`,
    async run(repetitions) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < repetitions; i++) await session.run(feeds);
      return Number(process.hrtime.bigint() - start) / 1e9;
    },
  };
}

/** Random numbers of a bell curve, as bytes of float32. */
function randomBytes(count: number): Uint8Array {
  return scope(() => {
    const { buffer } = randn([count]).mul(0.5).toTypedArray() as Float32Array;
    return new Uint8Array(buffer as ArrayBuffer);
  });
}

/** iBN with ReLU as one operator, and as batch normalisation of a joined copy. */
async function normalisation(): Promise<void> {
  const levels = [3, 4, 5, 6, 7].map((level) => trained(2, channels, ...sizeOf(level)));
  const bn = new nn.BatchNorm2d({ numFeatures: channels });
  const joined = (): Tensor[] => {
    const flat = levels.map((level) => level.reshape([2, channels, 1, -1]));
    const all = bn.forward(cat(flat, 3)).relu();
    let start = 0;
    return levels.map((level, i) => {
      const cells = flat[i]?.shape[3] as number;
      const own = all.narrow(3, start, cells).reshape(level.shape);
      start += cells;
      return own;
    });
  };
  const total = (maps: Tensor[]): Tensor => maps.map((map) => map.sum()).reduce((sum, own) => sum.add(own));
  const subjects = [
    { name: "joined, normalised, cut", run: () => total(joined()) },
    { name: "pyramid_batch_norm_relu", run: () => total(pyramidBatchNormRelu(levels, bn)) },
  ];
  const steps = subjects.map(({ name, run }) => here(name, () => scope(() => void backward(run()))));
  report(
    "iBN with ReLU over P3 to P7, two images: forward and backward",
    await compare(steps, { rounds, warmup: 1 }),
  );
  const bytes = levels.reduce((sum, { numel }) => sum + 4 * numel, 0);
  process.stdout.write(`  bound: ${((5 * bytes) / 1e6).toFixed(0)} MB read and written\n`);
}

async function upsampling(): Promise<void> {
  const [h, w] = sizeOf(3);
  const [base, coarse] = [trained(1, channels, h, w), trained(1, channels, ...sizeOf(4))];
  const cotangent = randn([1, channels, h, w]);
  const apart = contestants(
    { name: "upsample, then add", run: () => base.add(upsample(coarse, [h, w], true)) },
    cotangent,
  );
  const fused = contestants({ name: "upsample_add", run: () => upsampleAdd(base, coarse) }, cotangent);
  report("P4 added to P3: forward", await compare([apart[0], fused[0]], { rounds, warmup: 1 }));
  report("P4 added to P3: forward and backward", await compare([apart[1], fused[1]], { rounds, warmup: 1 }));
}

async function main(): Promise<void> {
  setNumThreads(threads);
  process.stdout.write(
    `libtorch ${libtorch().version} (${libtorch().source}), ${threads} threads, a picture of ${options.size}\n`,
  );
  const python = options.peer ? pythonOfSameLibtorch() : null;
  const script = new URL("../peers/operators.py", import.meta.url).pathname;
  const peer = python === null ? null : new Peer(python, script, [String(threads), String(channels)]);
  if (peer === null) process.stdout.write("without torchvision: no Python on this libtorch, or --no-peer\n");
  for (const name of options.levels.split(",")) await deformable(Number(name.replace("p", "")), peer);
  await normalisation();
  await upsampling();
  peer?.stop();
}

await main();
