// Detection end to end, picture by picture, on libtorch and on onnxruntime: where the time goes.
// npm run bench -- detection [--preset retinanet_r50_sepc-lite_1x] [--scale 512x512] [--images 8] [--threads 2] [--rounds 3]
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fromTypedArray, inferenceMode, libtorch, scope, setNumThreads, type Tensor } from "@sepc/engine";
import { decodeImage, drawDetections, preset, type RgbImage, synthesize } from "sepc";
import { finishBatch, type ModelDetector, prepareBatch, preparePicture, type TensorData } from "sepc/runtime";
import type * as Detectors from "../packages/detect/dist/detectors/index.js";
import type * as Export from "../packages/detect/dist/export/exportModel.js";
import type * as Onnx from "../packages/detect/dist/inference/onnx.js";
import { inputOf, part } from "./product.js";
import { median } from "./timer.js";

const { values: options } = parseArgs({
  options: {
    preset: { type: "string", default: "retinanet_r50_sepc-lite_1x" },
    scale: { type: "string", default: "512x512" },
    images: { type: "string", default: "8" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
  },
});
const scale = options.scale.split("x").map(Number) as [number, number];
const [images, threads, rounds] = [options.images, options.threads, options.rounds].map(Number) as [
  number,
  number,
  number,
];
const { buildDetector } = (await part("detectors/index")) as typeof Detectors;
const { exportModel } = (await part("export/exportModel")) as typeof Export;
const { openModel } = (await part("inference/onnx")) as typeof Onnx;

const classes = Array.from({ length: 80 }, (_, i) => `class ${i}`);
const input = inputOf(Math.min(...scale), Math.max(...scale));

type Stages = Record<string, number[]>;

/** Runs the stages of one picture in turn and keeps the milliseconds of each. */
async function timed<T>(stages: Stages, name: string, body: () => T | Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await body();
  stages[name] ??= [];
  stages[name].push(performance.now() - start);
  return result;
}

function show(title: string, stages: Stages): void {
  const medians = Object.entries(stages).map(([name, values]) => [name, median(values)] as const);
  const total = medians.reduce((sum, [, value]) => sum + value, 0);
  process.stdout.write(
    `\n${title}: ${total.toFixed(1)} ms a picture, ${(1000 / total).toFixed(2)} a second\n`,
  );
  for (const [name, value] of medians)
    process.stdout.write(
      `  ${name.padEnd(20)} ${value.toFixed(2).padStart(9)} ms  ${((100 * value) / total).toFixed(1).padStart(5)} %\n`,
    );
}

setNumThreads(threads);
const folder = mkdtempSync(join(tmpdir(), "sepc-bench-"));
await synthesize({ out: folder, images, width: 640, height: 480, format: "jpeg", splits: { train: 1 } });
const files = readdirSync(join(folder, "train")).map((name) => join(folder, "train", name));
const { model } = preset(options.preset);
const network = buildDetector(model, classes.length).eval();
const bytes = await exportModel(network, { name: "bench", detector: model.detector, classes, input });
const file = join(folder, "model.onnx");
writeFileSync(file, bytes);
const exported: ModelDetector = await openModel(file, { threads });
process.stdout.write(
  `${options.preset}, longer side ${scale[0]}, ${threads} threads; libtorch ${libtorch().version}, normalisation folded\n`,
);

const [torch, onnx]: [Stages, Stages] = [{}, {}];
for (let round = -1; round < rounds; round++) {
  for (const path of files) {
    const [a, b]: [Stages, Stages] = round < 0 ? [{}, {}] : [torch, onnx];
    await once(a, path, async (picture) => {
      const { images: tensor, frames } = await timed(a, "resize, normalise", () =>
        prepareBatch({ input }, [preparePicture({ input }, picture)]),
      );
      const outputs = await timed(a, "network, select", () => onTorch(tensor));
      const found = await timed(a, "decode, NMS", () =>
        finishBatch(
          { decode: network.decodeSpec, output: "candidates" },
          { images: tensor, frames },
          outputs,
        ),
      );
      return found[0] ?? [];
    });
    await once(b, path, async (picture) => {
      const { objects, times } = await exported.run([picture]);
      for (const [name, value] of [
        ["resize, normalise", times.prepare],
        ["network, select", times.network],
        ["decode, NMS", times.decode],
      ] as const) {
        b[name] ??= [];
        b[name].push(value);
      }
      return objects[0] ?? [];
    });
  }
}

/** What an exported file's graph gives, from libtorch. */
function onTorch({ data, dims }: TensorData): Record<string, TensorData> {
  return scope(() =>
    inferenceMode(() => {
      const found = network.candidates(network.forward(fromTypedArray(data as Float32Array, [...dims])));
      const read = (tensor: Tensor): TensorData => {
        const own = tensor.contiguous();
        return { type: "float32", data: own.toTypedArray() as Float32Array, dims: own.shape };
      };
      const { scores, boxes, priors, factors } = found;
      const rest: Record<string, TensorData> = factors === null ? {} : { factors: read(factors) };
      return { scores: read(scores), boxes: read(boxes), priors: read(priors), ...rest };
    }),
  );
}

async function once(
  stages: Stages,
  path: string,
  find: (picture: RgbImage) => Promise<readonly Parameters<typeof drawDetections>[1][number][]>,
): Promise<void> {
  const picture = await timed(stages, "read JPEG", () => decodeImage(path));
  const objects = await find(picture);
  await timed(stages, "draw, write JPEG", () => drawDetections(picture, objects, { classes }));
}
show("libtorch", torch);
show("onnxruntime", onnx);
await exported.close();
rmSync(folder, { recursive: true });
