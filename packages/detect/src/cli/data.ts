import { type Command, InvalidArgumentError, Option } from "commander";
import { SHAPES } from "../data/synth/shapes.js";
import { type SynthOptions, synthesize } from "../data/synth/synthesize.js";
import { checkData, type SourceArguments } from "./data/check.js";
import { type ConvertArguments, convertData } from "./data/convert.js";
import { printStats } from "./data/stats.js";
import { Progress } from "./progress.js";

type SynthArguments = Omit<SynthOptions, "width" | "height" | "onImage"> & {
  readonly size: readonly [number, number];
};

const whole = (text: string): number => {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number.");
};

const sizeOf = (text: string): [number, number] => {
  const found = /^(\d+)x(\d+)$/.exec(text);
  if (found === null) throw new InvalidArgumentError("Expected WIDTHxHEIGHT, as 320x320.");
  return [Number(found[1]), Number(found[2])];
};

const listOf = (text: string): string[] => text.split(",").map((part) => part.trim());

const splitsOf = (text: string): Record<string, number> => {
  const splits: Record<string, number> = {};
  for (const part of listOf(text)) {
    const found = /^([\w-]+)=(\d*\.?\d+)$/.exec(part);
    if (found === null) throw new InvalidArgumentError("Expected names and shares, as train=0.8,val=0.2.");
    splits[found[1] as string] = Number(found[2]);
  }
  return splits;
};

const formats = ["coco", "voc", "yolo"];

/** A command on a data set that is there. */
function onDataset(command: Command, name: string, description: string): Command {
  return command
    .command(name)
    .description(description)
    .argument("<path>", "data set: a file or folder")
    .option("--split <name>", "only this split: train, val, test")
    .option("--images <folder>", "pictures of COCO annotations, where they are not found")
    .addOption(new Option("--format <name>", "format, where it is not found out").choices(formats));
}

const examples = `
Data sets may be COCO JSON (a file, or a folder with annotations/), Pascal VOC folders, or YOLO's data.yaml.

Examples:
  npx sepc data check my-pictures
  npx sepc data stats my-pictures --split train
  npx sepc data convert my-pictures --to coco --out my-coco
  npx sepc data synth --out shapes --images 500 --size 320x320

Each has its own --help.`;

export function define(command: Command): void {
  command.description("check, describe, convert and make data sets").addHelpText("after", examples);
  onDataset(command, "check", "say what is wrong with a data set, and where; reads every picture")
    .option("--workers <n>", "threads that read pictures (default: one for each processor)", whole)
    .option("--json", "print JSON, with all findings", false)
    .addHelpText(
      "after",
      "\nEnds with code 1 when there are errors.\n\nExample:\n  npx sepc data check my-pictures",
    )
    .action(async (path: string, options: SourceArguments & { json: boolean; workers?: number }) => {
      process.exitCode = await checkData(path, options);
    });
  onDataset(command, "stats", "count pictures, objects, classes and sizes")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExample:\n  npx sepc data stats my-pictures --split train")
    .action((path: string, options: SourceArguments & { json: boolean }) => printStats(path, options));
  onDataset(command, "convert", "write a data set in another format, pictures included")
    .addOption(new Option("--to <format>", "format to write").choices(formats).makeOptionMandatory())
    .requiredOption("--out <folder>", "where it goes: a new or empty folder")
    .option("--link", "link pictures instead of copying them", false)
    .addHelpText("after", "\nExample:\n  npx sepc data convert my-voc --to coco --out my-coco")
    .action((path: string, options: ConvertArguments) => convertData(path, options));
  defineSynth(command);
}

function defineSynth(command: Command): void {
  command
    .command("synth")
    .description("make a data set of shapes with a wide range of sizes")
    .requiredOption("--out <folder>", "where it goes")
    .option("--images <n>", "pictures", whole, 500)
    .option("--seed <n>", "the same seed gives the same pictures", whole, 0)
    .option("--size <WxH>", "pixels", sizeOf, [320, 320])
    .option("--classes <list>", `of ${Object.keys(SHAPES).join(",")} (default: the first four)`, listOf)
    .option("--min <pixels>", "smallest object", whole, 8)
    .option("--max <pixels>", "largest object", whole, 256)
    .option("--objects <n>", "most objects of a picture", whole, 8)
    .option("--clutter <n>", "lines of no class in a picture", whole, 12)
    .addOption(new Option("--format <name>", "format of pictures").choices(["png", "jpeg"]).default("png"))
    .option("--splits <list>", "shares", splitsOf, { train: 0.8, val: 0.2 })
    .addHelpText("after", "\nExample:\n  npx sepc data synth --out shapes --images 500 --min 8 --max 256")
    .action(async ({ size, ...options }: SynthArguments) => {
      const bar = new Progress({ total: options.images, unit: "images", label: "drawing" });
      await synthesize({ ...options, width: size[0], height: size[1], onImage: () => bar.advance() });
      bar.finish();
      process.stderr.write(`${options.images} pictures in ${options.out}\n`);
    });
}
