import { EngineError } from "@sepc/engine";
import type { Command } from "commander";
import { presetNames } from "../presets/index.js";
import { runTraining } from "./train/run.js";

export interface TrainArguments {
  readonly preset?: string;
  readonly config?: string;
  readonly data?: string;
  readonly train?: string;
  readonly val?: string;
  readonly out: string;
  readonly weights?: string;
  readonly set: readonly string[];
  readonly overfit?: number;
  readonly overwrite: boolean;
  readonly resume: boolean;
  readonly device?: string;
  readonly json: boolean;
  readonly report: boolean;
}

const examples = `
Data is a folder or file that sepc data check accepts: COCO JSON, Pascal VOC, YOLO. Weights of torchvision's names are
fetched once and kept in $SEPC_CACHE (~/.cache/sepc unless told).

Examples:
  npx sepc train --preset retinanet_small_sepc-lite --data my-pictures
  npx sepc train --preset retinanet_r50_sepc-lite_1x --train train.json --val val.json --weights resnet50.pth
  npx sepc train --preset retinanet_small_fpn --data my-pictures --set schedule.epochs=80 --set schedule.lr=0.002
  npx sepc train --config sepc.config.ts --data my-pictures --out runs/mine
  npx sepc train --resume --out runs/mine --data my-pictures

A sepc.config.ts starts from a preset and changes what it likes (the same as JSON: without "export default"):
  export default { preset: "retinanet_small_fpn", schedule: { epochs: 80 }, input: { scales: [[640, 640]] } };`;

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

function pictures(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0) return count;
  throw new EngineError("BAD_ARGUMENT", `--overfit: expected a positive whole number, got "${text}"`);
}

export function define(command: Command): void {
  command
    .description("train a detector")
    .option("--preset <name>", `settings to start from, as ${presetNames[0]} (all: sepc models)`)
    .option("--config <file>", "sepc.config.ts, .mjs or .json, in place of --preset")
    .option("--data <path>", "data set with splits train and val")
    .option("--train <path>", "training data, in place of --data")
    .option("--val <path>", "validation data, in place of --data")
    .option("--out <folder>", "where the run goes", "runs/train")
    .option(
      "--weights <file>",
      "weights to start from: .safetensors, .pth, resnet50 ... (fetched), or scratch",
    )
    .option("--set <path=value>", "change a setting; may be repeated", collect, [])
    .option(
      "--overfit <number>",
      "train and validate on as many pictures: can it learn them at all?",
      pictures,
    )
    .option("--resume", "go on from the run in --out", false)
    .option("--overwrite", "take the place of the run in --out", false)
    .option("--device <name>", "cpu, cuda or cuda:N; what is there unless told")
    .option("--no-report", "do not write report.html")
    .option("--json", "print the result as JSON", false)
    .addHelpText("after", examples)
    .action(async (options: TrainArguments) => {
      process.exitCode = await runTraining(options);
    });
}
