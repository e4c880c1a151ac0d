import { EngineError } from "@sepc/engine";
import type { Command } from "commander";
import { synthesize } from "../data/synth/synthesize.js";
import { checkData } from "./data/check.js";
import { printStats } from "./data/stats.js";
import { Progress } from "./progress.js";

interface SynthArguments {
  readonly out: string;
  readonly images: number;
  readonly seed: number;
  readonly size: readonly [number, number];
  readonly classes?: readonly string[];
  readonly min: number;
  readonly max: number;
  readonly splits: Readonly<Record<string, number>>;
}

const whole = (text: string): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new EngineError("BAD_ARGUMENT", `expected a whole number, got "${text}"`);
};

const sizeOf = (text: string): [number, number] => {
  const found = /^(\d+)x(\d+)$/.exec(text);
  if (found === null)
    throw new EngineError("BAD_ARGUMENT", `--size: expected WIDTHxHEIGHT as 320x320, got "${text}"`);
  return [Number(found[1]), Number(found[2])];
};

const splitsOf = (text: string): Record<string, number> => {
  const parts = text.split(",").map((part) => part.split("="));
  const splits: Record<string, number> = {};
  for (const [name, share] of parts) splits[name as string] = Number(share);
  const sum = Object.values(splits).reduce((total, share) => total + share, 0);
  if (Math.abs(sum - 1) < 1e-6) return splits;
  throw new EngineError(
    "BAD_ARGUMENT",
    `--splits: expected shares that add up to 1 as train=0.8,val=0.2, got "${text}"`,
  );
};

const examples = `
Data sets may be COCO JSON (a file, or a folder with annotations/), Pascal VOC folders, or YOLO's data.yaml.

Examples:
  npx sepc data check my-pictures
  npx sepc data stats my-pictures --split train
  npx sepc data synth --out shapes --images 500 --size 320x320`;

export function define(command: Command): void {
  command.description("check, describe and make data sets").addHelpText("after", examples);
  command
    .command("check")
    .description("say what is wrong with a data set, and where")
    .argument("<path>", "data set")
    .option("--split <name>", "only this split")
    .option("--json", "print JSON", false)
    .action(async (path: string, options: { split?: string; json: boolean }) => {
      process.exitCode = await checkData(path, options);
    });
  command
    .command("stats")
    .description("count pictures, objects, classes and sizes")
    .argument("<path>", "data set")
    .option("--split <name>", "only this split")
    .option("--json", "print JSON", false)
    .action(async (path: string, options: { split?: string; json: boolean }) => printStats(path, options));
  command
    .command("synth")
    .description("make a data set of shapes with a wide range of sizes")
    .requiredOption("--out <folder>", "where it goes")
    .option("--images <n>", "pictures", whole, 500)
    .option("--seed <n>", "the same seed gives the same pictures", whole, 0)
    .option("--size <WxH>", "pixels", sizeOf, [320, 320])
    .option("--classes <list>", "circle,square,triangle,star,ring,cross,crescent,hexagon", (text: string) =>
      text.split(","),
    )
    .option("--min <pixels>", "smallest object", whole, 8)
    .option("--max <pixels>", "largest object", whole, 256)
    .option("--splits <list>", "shares", splitsOf, { train: 0.8, val: 0.2 })
    .action(async ({ size, ...options }: SynthArguments) => {
      const bar = new Progress({ total: options.images, unit: "images", label: "drawing" });
      await synthesize({ ...options, width: size[0], height: size[1], onImage: () => bar.advance() });
      bar.finish();
      process.stderr.write(`${options.images} pictures in ${options.out}\n`);
    });
}
