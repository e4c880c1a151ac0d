// Exported models on onnxruntime against the same network on libtorch and in Python PyTorch (plain and SEPC heads), per
// head tower, with other precisions and batch sizes; and start-up and memory of a process that finds its first objects.
// npm run bench -- runtime [--size 512x512] [--towers fpn,pconv,sepc-lite,sepc] [--batches 1,4] [--threads 2] [--rounds 5] [--no-peer]
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { inferenceMode, libtorch, randn, scope, setNumThreads } from "@sepc/engine";
import * as ort from "onnxruntime-node";
import { preset } from "sepc";
import type * as Detectors from "../packages/detect/dist/detectors/index.js";
import type * as Export from "../packages/detect/dist/export/exportModel.js";
import { Peer, pythonOfSameLibtorch } from "./peer.js";
import { inputOf, part } from "./product.js";
import { type Contestant, compare, here, median, report } from "./timer.js";

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    size: { type: "string", default: "512x512" },
    towers: { type: "string", default: "fpn,pconv,sepc-lite,sepc" },
    batches: { type: "string", default: "1,4" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    peer: { type: "boolean", default: true },
  },
});
const [height = 512, width = 512] = options.size.split("x").map(Number);
const [threads, rounds] = [Number(options.threads), Number(options.rounds)];
const { buildDetector } = (await part("detectors/index")) as typeof Detectors;
const { exportModel } = (await part("export/exportModel")) as typeof Export;
type Network = Detectors.DetectorNetwork;
type Precision = "float32" | "int8";

const classes = Array.from({ length: 80 }, (_, i) => `class ${i}`);
const input = inputOf(height, width);

const pictures = (batch: number): Float32Array =>
  scope(() => randn([batch, 3, height, width]).toTypedArray() as Float32Array);

/** Ranges as one random picture shows them: enough for times, not for results. */
async function calibrate(
  model: Uint8Array,
  values: readonly string[],
): Promise<Map<string, [number, number]>> {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  const images = new ort.Tensor("float32", pictures(1), [1, 3, height, width]);
  const outputs = await session.run({ images });
  const range = (name: string): [number, number] => {
    const data = outputs[name]?.data as Float32Array;
    return [data.reduce((a, b) => Math.min(a, b)), data.reduce((a, b) => Math.max(a, b))];
  };
  const found = new Map(values.map((name) => [name, range(name)]));
  await session.release();
  return found;
}

async function exported(network: Network, precision: Precision, portable = false): Promise<Uint8Array> {
  const description = { name: "bench", detector: "retinanet", classes, input };
  return exportModel(network, description, { precision, portable, calibrate });
}

async function onnx(name: string, bytes: Uint8Array, batch: number): Promise<Contestant> {
  const session = await ort.InferenceSession.create(bytes, {
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
  });
  const images = new ort.Tensor("float32", pictures(batch), [batch, 3, height, width]);
  return {
    name,
    async run(repetitions) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < repetitions; i++) await session.run({ images });
      return Number(process.hrtime.bigint() - start) / 1e9;
    },
  };
}

function torch(name: string, network: Network, batch: number): Contestant {
  const images = randn([batch, 3, height, width]);
  return here(name, () => scope(() => inferenceMode(() => void network.candidates(network.forward(images)))));
}

const built = (tower: string): Network =>
  buildDetector(preset(`retinanet_r50_${tower}_1x`).model, classes.length).eval();

async function oneTower(tower: string, peer: Peer | null): Promise<void> {
  const network = built(tower);
  const deforms = /sepc|dcn/.test(tower);
  const whole = await exported(network, "float32");
  const contestants = [
    torch("libtorch, folded", network, 1),
    await onnx("onnxruntime", whole, 1),
    await onnx("onnxruntime, int8", await exported(network, "int8"), 1),
  ];
  if (deforms)
    contestants.push(await onnx("onnxruntime, portable", await exported(network, "float32", true), 1));
  const theirs = { fpn: "plain", sepc: "sepc" }[tower];
  if (peer !== null && theirs !== undefined)
    contestants.push(peer.contestant("Python PyTorch", `forward:${theirs}`));
  report(`RetinaNet R-50, ${tower}: one picture`, await compare(contestants, { rounds, warmup: 1 }));
  for (const batch of options.batches
    .split(",")
    .map(Number)
    .filter((one) => one > 1)) {
    const both = [torch("libtorch, folded", network, batch), await onnx("onnxruntime", whole, batch)];
    report(
      `RetinaNet R-50, ${tower}: ${batch} pictures at a time`,
      await compare(both, { rounds, warmup: 1 }),
    );
  }
  startUp(whole);
  network.free();
}

/** A fresh process from its beginning to the first objects, and the memory that it then has. */
function startUp(bytes: Uint8Array): void {
  const folder = mkdtempSync(join(tmpdir(), "sepc-bench-"));
  const file = join(folder, "model.onnx");
  writeFileSync(file, bytes);
  const detector = new URL("../../packages/detect/dist/inference/detector.js", import.meta.url).href;
  const script = `
    const start = performance.timeOrigin;
    const { Detector } = await import(${JSON.stringify(detector)});
    const detector = await Detector.load(${JSON.stringify(file)}, { threads: ${threads} });
    await detector.detect({ data: new Uint8Array(${height * width * 3}), width: ${width}, height: ${height} });
    console.log(JSON.stringify([Date.now() - start, process.memoryUsage().rss]));`;
  const runs = Array.from(
    { length: 3 },
    () =>
      JSON.parse(String(execFileSync(process.execPath, ["--input-type=module", "-e", script]))) as [
        number,
        number,
      ],
  );
  const [time, memory] = [0, 1].map((i) => median(runs.map((one) => one[i] as number))) as [number, number];
  process.stdout.write(
    `  a process on onnxruntime: first objects after ${(time / 1000).toFixed(2)} s, ${(memory / 1e6).toFixed(0)} MB; ` +
      `the file has ${(bytes.length / 1e6).toFixed(0)} MB\n`,
  );
  rmSync(folder, { recursive: true });
}

setNumThreads(threads);
process.stdout.write(
  `libtorch ${libtorch().version}, onnxruntime ${ort.env.versions.node ?? ""}, ${threads} threads, ${options.size}\n`,
);
const python = options.peer ? pythonOfSameLibtorch() : null;
const script = new URL("../peers/training.py", import.meta.url).pathname;
const peer = python === null ? null : new Peer(python, script, [threads, height, width, 1].map(String));
for (const tower of options.towers.split(",")) await oneTower(tower, peer);
peer?.stop();
