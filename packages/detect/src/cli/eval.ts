import { readFileSync } from "node:fs";
import { type CocoEvaluation, evaluateCoco, type GroundTruth, type Result } from "@sepc/core/eval";
import { cudaDeviceCount, type Device, EngineError } from "@sepc/engine";
import type { Command } from "commander";
import { z } from "zod";
import { openDataset } from "../data/open.js";
import { evaluateDetections, statNames } from "../evaluation/dataset.js";
import { withClasses } from "../train/data.js";
import { detectAll } from "../train/detectAll.js";
import { loadRun } from "../train/loadRun.js";
import { Progress } from "./progress.js";

interface EvalArguments {
  readonly annotations?: string;
  readonly results?: string;
  readonly data?: string;
  readonly split: string;
  readonly type?: "bbox" | "segm";
  readonly maxDets: readonly number[];
  readonly cats: boolean;
  readonly device?: string;
  readonly json: boolean;
}

const examples = `
Examples:
  npx sepc eval --annotations instances_val2017.json --results results.json
  npx sepc eval --annotations a.json --results r.json --type segm --json
  npx sepc eval runs/train --data my-pictures --split test`;

const numbers = (text: string): number[] => {
  const list = text.split(",").map(Number);
  if (list.length > 0 && list.every((value) => Number.isInteger(value) && value > 0)) return list;
  throw new EngineError("BAD_ARGUMENT", `--max-dets: expected positive integers as 1,10,100, got "${text}"`);
};

export function define(command: Command): void {
  command
    .description("measure detections: COCO's metrics of a result file, or of a trained run on a data set")
    .argument("[run]", "folder of sepc train, or a checkpoint")
    .option("--annotations <file>", "ground truth, COCO's annotation format")
    .option("--results <file>", "detections, COCO's result format")
    .option("--data <path>", "data set for the run")
    .option("--split <name>", "split of --data", "val")
    .option("--type <type>", "bbox or segm; what the results have unless told")
    .option("--max-dets <list>", "detections counted of an image and class", numbers, [1, 10, 100])
    .option("--no-cats", "all classes count as one")
    .option("--device <name>", "cpu, cuda or cuda:N, for the run")
    .option("--json", "print JSON", false)
    .addHelpText("after", examples)
    .action(async (run: string | undefined, options: EvalArguments) => {
      const start = performance.now();
      const evaluation = run === undefined ? evaluateFiles(options) : await evaluateRun(run, options);
      const seconds = (performance.now() - start) / 1000;
      process.stdout.write(
        options.json ? `${JSON.stringify(asJson(evaluation, seconds))}\n` : asTable(evaluation),
      );
    });
}

const finite = z.number();
const segmentation = z.union([
  z.array(z.array(finite)),
  z.object({ size: z.tuple([finite, finite]), counts: z.union([z.string(), z.array(finite)]) }),
]);
const truthSchema = z.object({
  images: z.array(z.object({ id: finite, width: finite.optional(), height: finite.optional() })),
  annotations: z.array(
    z.object({
      id: finite,
      image_id: finite,
      category_id: finite,
      bbox: z.array(finite).length(4),
      area: finite,
      iscrowd: finite.optional(),
      segmentation: segmentation.optional(),
    }),
  ),
  categories: z.array(z.object({ id: finite, name: z.string() })),
});

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new EngineError("FILE", `${path}: ${(cause as Error).message}`, { cause });
  }
}

function readTruth(path: string): GroundTruth {
  const parsed = truthSchema.safeParse(readJson(path));
  if (parsed.success) return parsed.data as GroundTruth;
  const { path: place, message } = parsed.error.issues[0] as z.core.$ZodIssue;
  throw new EngineError("BAD_ARGUMENT", `${path}: ${place.join(".")}: ${message}`);
}

/** What is wrong with an entry of a result file; by hand, because there may be hundreds of thousands. */
function faultOf(entry: Partial<Result> | null): string | null {
  if (typeof entry !== "object" || entry === null) return "expected an object";
  for (const field of ["image_id", "category_id", "score"] as const)
    if (typeof entry[field] !== "number" || !Number.isFinite(entry[field]))
      return `${field}: expected a number, got ${JSON.stringify(entry[field]) ?? "nothing"}`;
  const { bbox, segmentation: mask } = entry;
  if (bbox === undefined && mask === undefined) return "expected a bbox or a segmentation";
  if (bbox !== undefined && !(Array.isArray(bbox) && bbox.length === 4 && bbox.every(Number.isFinite)))
    return `bbox: expected [x, y, width, height], got ${JSON.stringify(bbox)}`;
  if (bbox !== undefined && ((bbox[2] as number) < 0 || (bbox[3] as number) < 0))
    return `bbox: expected a width and height of 0 or more, got ${JSON.stringify(bbox)}`;
  return null;
}

function readResults(path: string, truth: GroundTruth): Result[] {
  const raw = readJson(path);
  if (!Array.isArray(raw))
    throw new EngineError(
      "BAD_ARGUMENT",
      `${path}: expected a list of results, got ${raw === null ? "null" : typeof raw}`,
    );
  const images = new Set(truth.images.map(({ id }) => id));
  for (const [i, entry] of raw.entries()) {
    const fault = faultOf(entry as Result);
    if (fault !== null) throw new EngineError("BAD_ARGUMENT", `${path}: entry ${i}: ${fault}`);
    if (!images.has((entry as Result).image_id))
      throw new EngineError(
        "BAD_ARGUMENT",
        `${path}: entry ${i}: image_id ${(entry as Result).image_id} is none of the annotations' images`,
      );
  }
  return raw as Result[];
}

function evaluateFiles({ annotations, results, type, maxDets, cats }: EvalArguments): CocoEvaluation {
  if (annotations === undefined || results === undefined)
    throw new EngineError(
      "BAD_ARGUMENT",
      "sepc eval: expected --annotations and --results, or a run with --data",
    );
  if (type !== undefined && type !== "bbox" && type !== "segm")
    throw new EngineError("BAD_ARGUMENT", `--type: expected bbox or segm, got "${type}"`);
  const truth = readTruth(annotations);
  const found = readResults(results, truth);
  const first = found[0];
  const kind = type ?? (first?.bbox === undefined && first?.segmentation !== undefined ? "segm" : "bbox");
  return evaluateCoco(truth, found, { type: kind, maxDets, useCats: cats });
}

async function evaluateRun(
  path: string,
  { data, split, maxDets, cats, device }: EvalArguments,
): Promise<CocoEvaluation> {
  if (data === undefined)
    throw new EngineError("BAD_ARGUMENT", "sepc eval RUN: expected --data PATH, got none");
  const place = (device ?? (cudaDeviceCount() > 0 ? "cuda" : "cpu")) as Device;
  const { detector, config, classes } = loadRun(path, place);
  const dataset = withClasses(await openDataset(data, { split }), classes);
  const bar = new Progress({ total: dataset.images.length, unit: "images", label: "detecting" });
  const found = await detectAll(detector, dataset, config, {
    device: place,
    onBatch: (images) => bar.advance(images),
  });
  bar.finish();
  return evaluateDetections(dataset, found, { maxDets, useCats: cats });
}

function asJson({ stats, ap, classes, params }: CocoEvaluation, seconds: number): unknown {
  return { stats, ap, classes, type: params.type, maxDets: params.maxDets, seconds };
}

const figure = (value: number): string => (value < 0 ? "-" : value.toFixed(3));

function asTable({ stats, classes, params }: CocoEvaluation): string {
  const [few, some, most] = params.maxDets;
  const titles = statNames.map((name) =>
    name
      .replace("AR_100", `AR_${most ?? 100}`)
      .replace(/AR_10$/, `AR_${some ?? 10}`)
      .replace(/AR_1$/, `AR_${few ?? 1}`),
  );
  const summary = titles.map((name, i) => `  ${name.padEnd(10)} ${figure(stats[i] as number)}`).join("\n");
  const known = classes.filter(({ ap }) => ap >= 0).sort((a, b) => b.ap - a.ap);
  const width = Math.max(5, ...known.map(({ name }) => name.length));
  const rows = known.map(
    ({ name, ap, ap50, ap75, ar }) =>
      `  ${name.padEnd(width)}  ${[ap, ap50, ap75, ar].map((value) => figure(value).padStart(6)).join("  ")}`,
  );
  const header = `  ${"class".padEnd(width)}  ${["AP", "AP50", "AP75", "AR"].map((name) => name.padStart(6)).join("  ")}`;
  return `${summary}\n${rows.length > 0 ? `\n${[header, ...rows].join("\n")}\n` : ""}`;
}
