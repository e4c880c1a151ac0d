import { basename, dirname, resolve } from "node:path";
import type { ModelSpec } from "@sepc/core";
import { EngineError, io } from "@sepc/engine";
import { type Command, Option } from "commander";
import { openDataset } from "../data/open.js";
import { type ExportModelOptions, exportModel } from "../export/exportModel.js";
import { calibrate } from "../inference/calibrate.js";
import { testTransforms } from "../train/data.js";
import { loadRun, type TrainedRun } from "../train/loadRun.js";
import { Progress } from "./progress.js";

interface ExportArguments {
  readonly out?: string;
  readonly name?: string;
  readonly portable: boolean;
  readonly views: boolean;
  readonly nms: boolean;
  readonly precision: ModelSpec["precision"];
  readonly calibrate?: string;
  readonly split: string;
  readonly json: boolean;
}

const examples = `
Examples:
  npx sepc export runs/train                          runs/train/model.onnx
  npx sepc export runs/train --out cells.onnx --portable
  npx sepc export runs/train --precision int8 --calibrate my-pictures
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
    .option("--nms", "make boxes and suppress in the graph, with the model's thresholds", false)
    .addOption(
      new Option("--precision <type>", "float16: half the size; int8: a quarter, and fast on processors")
        .choices(["float32", "float16", "int8"])
        .default("float32"),
    )
    .option("--calibrate <path>", "for int8: data set whose pictures (up to 100) show the ranges of values")
    .option("--split <name>", "split of --calibrate", "train")
    .option("--json", "print JSON", false)
    .addHelpText("after", examples)
    .action((path: string, options: ExportArguments) => exportRun(path, options));
}

/** Up to `most` files, evenly over the data set. */
async function calibrationFiles(path: string, split: string, most = 100): Promise<string[]> {
  const { images } = await openDataset(path, { split });
  const step = Math.max(1, images.length / most);
  return Array.from(
    { length: Math.min(most, images.length) },
    (_, i) => images[Math.floor(i * step)]?.file ?? "",
  );
}

type Calibrate = NonNullable<ExportModelOptions["calibrate"]>;

async function calibration(path: string, split: string, input: ModelSpec["input"]): Promise<Calibrate> {
  const files = await calibrationFiles(path, split);
  return async (model, values) => {
    const bar = new Progress({ total: files.length, unit: "images", label: "calibrating" });
    const ranges = await calibrate(model, values, { input, files, onPicture: () => bar.advance(1) });
    bar.finish();
    return ranges;
  };
}

async function exportRun(path: string, options: ExportArguments): Promise<void> {
  const { out, name, portable, views, nms, precision, json } = options;
  const run = loadRun(path);
  const file = out ?? `${folderOf(run)}/model.onnx`;
  if (!/\.onnx$/i.test(file))
    throw new EngineError("BAD_ARGUMENT", `--out: expected a name that ends in .onnx, got "${file}"`);
  const { scales, sizeDivisor, mean, std, channels } = testTransforms(run.config);
  const input = { scale: scales[0] as readonly [number, number], sizeDivisor, mean, std, channels };
  const bytes = await exportModel(
    run.detector,
    {
      name: name ?? basename(folderOf(run)),
      detector: run.config.model.detector,
      classes: run.classes,
      input,
    },
    {
      portable,
      views,
      suppress: nms,
      precision,
      calibrate:
        options.calibrate === undefined
          ? undefined
          : await calibration(options.calibrate, options.split, input),
    },
  );
  io.writeAtomically(file, (write) => write(bytes));
  run.detector.free();
  const told = { file, bytes: bytes.length, precision, classes: run.classes };
  process.stdout.write(
    json
      ? `${JSON.stringify(told)}\n`
      : `${file}: ${(bytes.length / 1e6).toFixed(1)} MB, ${run.classes.length} classes; try: npx sepc detect PICTURES --model ${file}\n`,
  );
}
