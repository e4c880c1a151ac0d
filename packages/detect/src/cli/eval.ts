import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { columnsOfResults, columnsOfTruth, type ResultColumns, type TruthColumns } from "@sepc/core/eval";
import type { Command } from "commander";
import { EngineError } from "../data/errors.js";
import { openDataset } from "../data/open.js";
import type { DetectionDataset } from "../data/types.js";
import { withClasses } from "../data/withClasses.js";
import { groundTruthOf, type ImageDetections, resultsOf } from "../evaluation/dataset.js";
import {
  asJson,
  curvesOf,
  type FigureOptions,
  type Figures,
  figuresOf,
  type Timings,
} from "./eval/figures.js";
import { namingFiles, readFiles } from "./eval/files.js";
import { asTable } from "./eval/table.js";
import { Progress } from "./progress.js";

interface EvalArguments extends Omit<FigureOptions, "type" | "useCats"> {
  readonly annotations?: string;
  readonly results?: string;
  readonly data?: string;
  readonly split: string;
  readonly type?: "bbox" | "segm";
  readonly cats: boolean;
  readonly out?: string;
  readonly device?: string;
  readonly json: boolean;
}

const examples = `
Examples:
  npx sepc eval --annotations instances_val2017.json --results results.json
  npx sepc eval --annotations a.json --results r.json --type segm --json
  npx sepc eval --annotations a.json --results r.json --errors --confusion --out figures
  npx sepc eval runs/train --data my-pictures --split test
  npx sepc eval model.onnx --data my-pictures`;

const wrongUse = (message: string): never => {
  throw new EngineError("BAD_ARGUMENT", message);
};

function numbers(text: string): number[] {
  const list = text.split(",").map(Number);
  if (list.every((value) => Number.isInteger(value) && value > 0)) return list;
  return wrongUse(`--max-dets: expected positive integers as 1,10,100, got "${text}"`);
}

function type(text: string): "bbox" | "segm" {
  return text === "bbox" || text === "segm" ? text : wrongUse(`--type: expected bbox or segm, got "${text}"`);
}

function names(text: string): string[] {
  const list = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  return list.length > 0 ? list : wrongUse(`--classes: expected names or ids as cat,dog, got "${text}"`);
}

function score(text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : wrongUse(`--score: expected a number, got "${text}"`);
}

function overlap(text: string): number {
  const value = Number(text);
  return value > 0 && value <= 1
    ? value
    : wrongUse(`--iou: expected a number above 0, up to 1, got "${text}"`);
}

export function define(command: Command): void {
  command
    .description("measure detections: COCO's metrics of a result file, or of a trained run on a data set")
    .argument("[run]", "folder of sepc train, a checkpoint, or an exported .onnx")
    .option("--annotations <file>", "ground truth, COCO's annotation format")
    .option("--results <file>", "detections, COCO's result format")
    .option("--data <path>", "data set for the run")
    .option("--split <name>", "split of --data", "val")
    .option("--type <type>", "bbox or segm; what the results have unless told", type)
    .option("--max-dets <list>", "detections counted of an image and class", numbers, [1, 10, 100])
    .option("--no-cats", "all classes count as one")
    .option("--classes <list>", "only these, by name or id", names)
    .option("--voc", "also VOC's AP, over all points and at 11, at --iou", false)
    .option("--errors", "also where AP is lost, by kind of error (TIDE); gains are of AP from 0 to 1", false)
    .option("--confusion", "also which class was found as which, at --score and --iou", false)
    .option("--score <number>", "least score in the confusion matrix", score, 0.3)
    .option("--iou <number>", "least overlap of --confusion and --voc", overlap, 0.5)
    .option("--out <folder>", "write metrics.json, curves.json (precision over recall) and confusion.json")
    .option("--device <name>", "cpu, cuda or cuda:N, for the run")
    .option("--json", "print JSON", false)
    .addHelpText("after", examples)
    .action(async (run: string | undefined, options: EvalArguments) => {
      const measured = run === undefined ? evaluateFiles(options) : await evaluateRun(run, options);
      const { figures, timings } = measured;
      if (options.out !== undefined) writeFigures(options.out, figures, timings);
      // The matrix that --out needs is printed only when it was asked for.
      const shown = options.confusion ? figures : { ...figures, confusion: undefined };
      process.stdout.write(
        options.json ? `${JSON.stringify(asJson(shown, timings))}\n` : asTable(shown, timings),
      );
    });
}

interface Measured {
  readonly figures: Figures;
  readonly timings: Timings;
}

/** Reads, then measures; says how long each took. */
function measure(
  read: () => { truth: TruthColumns; found: ResultColumns; type: "bbox" | "segm" },
  { cats, out, confusion, ...options }: EvalArguments,
): Measured {
  const start = performance.now();
  const { truth, found, type: own } = read();
  const middle = performance.now();
  const figures = figuresOf(truth, found, {
    ...options,
    type: own,
    useCats: cats,
    confusion: confusion || out !== undefined,
  });
  const end = performance.now();
  const [first, second] = [(middle - start) / 1000, (end - middle) / 1000];
  return { figures, timings: { read: first, evaluate: second, total: first + second } };
}

function evaluateFiles(options: EvalArguments): Measured {
  const { annotations, results } = options;
  if (annotations === undefined || results === undefined)
    return wrongUse("sepc eval: expected --annotations and --results, or a run with --data");
  const files = { annotations, results };
  return namingFiles(files, () => measure(() => readFiles(files, options.type), options));
}

type Found = { readonly dataset: DetectionDataset; readonly found: ImageDetections[] };

/** What an exported model finds, without libtorch. */
async function foundByModel(path: string, { data, split, device }: EvalArguments): Promise<Found> {
  const { Detector } = await import("../inference/detector.js");
  const { detectOver } = await import("../inference/overDataset.js");
  const detector = await Detector.load(path, { device: device as "cpu" | undefined });
  const dataset = withClasses(await openDataset(data as string, { split }), detector.classes);
  const bar = new Progress({ total: dataset.images.length, unit: "images", label: "detecting" });
  const found = await detectOver(detector, dataset, () => bar.advance(1));
  bar.finish();
  detector.close();
  return { dataset, found };
}

async function foundByRun(path: string, { data, split, device }: EvalArguments): Promise<Found> {
  const { deviceOf } = await import("../train/device.js");
  const { detectAll } = await import("../train/detectAll.js");
  const { loadRun } = await import("../train/loadRun.js");
  const place = deviceOf(device);
  const { detector, config, classes } = loadRun(path, place);
  const dataset = withClasses(await openDataset(data as string, { split }), classes);
  const bar = new Progress({ total: dataset.images.length, unit: "images", label: "detecting" });
  const found = await detectAll(detector, dataset, config, {
    device: place,
    onBatch: (images) => bar.advance(images),
  });
  bar.finish();
  return { dataset, found };
}

async function evaluateRun(path: string, options: EvalArguments): Promise<Measured> {
  if (options.data === undefined) return wrongUse("sepc eval RUN: expected --data PATH, got none");
  if (options.type === "segm")
    return wrongUse("sepc eval RUN: a run finds boxes; expected --type bbox, got segm");
  const exported = /\.onnx$/i.test(path);
  const { dataset, found } = await (exported ? foundByModel(path, options) : foundByRun(path, options));
  const read = () => ({
    truth: columnsOfTruth(groundTruthOf(dataset)),
    found: columnsOfResults(resultsOf(found)),
    type: "bbox" as const,
  });
  return measure(read, options);
}

function writeFigures(folder: string, figures: Figures, timings: Timings): void {
  const { confusion } = figures;
  try {
    mkdirSync(folder, { recursive: true });
    const write = (name: string, value: unknown): void =>
      writeFileSync(join(folder, name), `${JSON.stringify(value)}\n`);
    write("metrics.json", asJson(figures, timings));
    write("curves.json", curvesOf(figures));
    write("confusion.json", confusion);
  } catch (cause) {
    throw new EngineError("FILE", `--out ${folder}: ${(cause as Error).message}`, { cause });
  }
}
