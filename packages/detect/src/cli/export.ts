import { basename, dirname, resolve } from "node:path";
import { EngineError, io } from "@sepc/engine";
import type { Command } from "commander";
import { exportModel } from "../export/exportModel.js";
import { testTransforms } from "../train/data.js";
import { loadRun, type TrainedRun } from "../train/loadRun.js";

interface ExportArguments {
  readonly out?: string;
  readonly name?: string;
  readonly portable: boolean;
  readonly views: boolean;
  readonly json: boolean;
}

const examples = `
Examples:
  npx sepc export runs/train                          runs/train/model.onnx
  npx sepc export runs/train --out cells.onnx --portable
  npx sepc detect photo.jpg --model runs/train/model.onnx

The file holds all that is needed to use it: classes, how pictures are prepared, how boxes are made.`;

/** The run's folder, for its name and as the place of the file. */
const folderOf = ({ checkpoint }: TrainedRun): string => dirname(resolve(checkpoint));

export function define(command: Command): void {
  command
    .description("write a trained detector as one ONNX file, for any number and size of pictures")
    .argument("<run>", "folder of sepc train, or a checkpoint")
    .option("--out <file>", "where; model.onnx beside the checkpoint unless told")
    .option("--name <name>", "of the model, in its description; the run's unless told")
    .option("--portable", "deformable kernels from operators that every back end has", false)
    .option("--views", "also give the pyramid's maps and the kernels' offsets, to look at", false)
    .option("--json", "print JSON", false)
    .addHelpText("after", examples)
    .action((path: string, options: ExportArguments) => exportRun(path, options));
}

function exportRun(path: string, { out, name, portable, views, json }: ExportArguments): void {
  const run = loadRun(path);
  const file = out ?? `${folderOf(run)}/model.onnx`;
  if (!/\.onnx$/i.test(file))
    throw new EngineError("BAD_ARGUMENT", `--out: expected a name that ends in .onnx, got "${file}"`);
  const { scales, sizeDivisor, mean, std, channels } = testTransforms(run.config);
  const bytes = exportModel(
    run.detector,
    {
      name: name ?? basename(folderOf(run)),
      detector: run.config.model.detector,
      classes: run.classes,
      input: { scale: scales[0] as readonly [number, number], sizeDivisor, mean, std, channels },
    },
    { portable, views },
  );
  io.writeAtomically(file, (write) => write(bytes));
  run.detector.free();
  const megabytes = bytes.length / 1e6;
  process.stdout.write(
    json
      ? `${JSON.stringify({ file, bytes: bytes.length, classes: run.classes })}\n`
      : `${file}: ${megabytes.toFixed(1)} MB, ${run.classes.length} classes; try: npx sepc detect PICTURES --model ${file}\n`,
  );
}
