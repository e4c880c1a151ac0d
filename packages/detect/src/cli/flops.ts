import { EngineError } from "@sepc/engine";
import { type Command, Option } from "commander";
import { countFlops, type FlopReport } from "../analysis/flops.js";
import type { DetectorConfig } from "../detectors/index.js";
import { preset, TOWERS, type TowerName } from "../presets/index.js";
import { parseRunConfig } from "../train/config.js";
import { readConfigFile } from "./configFile.js";

interface FlopArguments {
  readonly preset: string;
  readonly config?: string;
  readonly tower?: TowerName;
  readonly size: string;
  readonly classes: string;
  readonly json?: boolean;
}

/** "800x1344", height first. */
export function parseSize(text: string): [height: number, width: number] {
  const found = /^(\d{1,6})x(\d{1,6})$/.exec(text);
  if (found === null)
    throw new EngineError("BAD_ARGUMENT", `--size: expected HEIGHTxWIDTH, as 800x1344, got "${text}"`);
  return [Number(found[1]), Number(found[2])];
}

function parseClasses(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new EngineError("BAD_ARGUMENT", `--classes: expected a number of at least 1, got "${text}"`);
  return count;
}

async function modelOf({ preset: name, config: file, tower }: FlopArguments): Promise<DetectorConfig> {
  const raw = file === undefined ? preset(name) : await readConfigFile(file);
  const { model } = parseRunConfig(raw, file ?? `preset ${name}`);
  return tower === undefined
    ? model
    : { ...model, tower: { ...model.tower, norm: "none", ...TOWERS[tower] } };
}

const giga = (count: number): string => (count / 1e9).toFixed(2);
const mega = (count: number): string => (count / 1e6).toFixed(2);

/** Columns of equal width: the first to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] as string).length)),
  );
  const cell = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[0] as number) : text.padStart(widths[column] as number);
  return rows.map((row) => `  ${row.map(cell).join("  ").trimEnd()}\n`).join("");
}

const times = (ratio: number | null, digits: number): string =>
  ratio === null ? "-" : `${ratio.toFixed(digits)} x`;

function show(report: FlopReport): string {
  const { parts, levels, costPerLevel, areaShare } = report;
  const byPart = [
    ["part", "M parameters", "G multiply-adds"],
    ...parts.map((part) => [part.name, mega(part.parameters), giga(part.multiplyAdds)]),
    ["all", mega(report.parameters), giga(report.multiplyAdds)],
  ];
  const byLevel = [
    ["level", "cells", "area", "stacked conv", "neck", "tower", "predictions"],
    ...levels.map((level, i) => [
      level.name,
      level.size.join("x"),
      (areaShare[i] as number).toFixed(4),
      times(costPerLevel[i] ?? null, 2),
      giga(level.neck),
      giga(level.tower),
      giga(level.predictions),
    ]),
  ];
  const ratios = [
    ["stacked convolutions", times(report.stackRatio, 4)],
    ["head, kernels not deformed", times(report.headRatio, 5)],
    ["head", times(report.towerRatio, 4)],
    ["whole network", times(report.totalRatio, 4)],
    ["a deformable convolution adds", `${(100 * report.deformableOverhead).toFixed(1)} %`],
  ];
  const title = `${report.detector}, tower ${report.tower}, one image of ${report.size.join("x")} pixels, ${report.classes} classes`;
  return `${title}\n\n${table(byPart)}\n${table(byLevel)}\nOver RetinaNet's plain tower:\n${table(ratios)}`;
}

const examples = `
Counted are convolutions, a multiplication with its addition once, and 8 for each sample that a deformable kernel
interpolates. The head is the tower without its predictions.

Examples:
  npx sepc flops
  npx sepc flops --tower sepc --size 800x1344
  npx sepc flops --json | jq .towerRatio`;

export function define(command: Command): void {
  command
    .option("--preset <name>", "model of this preset", "retinanet_r50_sepc-lite_1x")
    .option("--config <file>", "model of a configuration file, in place of --preset")
    .addOption(new Option("--tower <name>", "another head tower").choices(Object.keys(TOWERS)))
    .option("--size <size>", "the network's input, HEIGHTxWIDTH in pixels", "1280x1280")
    .option("--classes <count>", "number of classes", "80")
    .option("--json", "print the figures as JSON")
    .addHelpText("after", examples)
    .action(async (options: FlopArguments) => {
      const model = await modelOf(options);
      const [size, classes] = [parseSize(options.size), parseClasses(options.classes)];
      const report = countFlops(model, { size, classes });
      process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : show(report));
    });
}
