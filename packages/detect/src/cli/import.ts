import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError, scope } from "@sepc/engine";
import type { Command } from "commander";
import { buildDetector, type DetectorNetwork, mmdetectionNames } from "../detectors/index.js";
import { preset } from "../presets/index.js";
import { saveCheckpoint } from "../train/checkpoint.js";
import { parseRunConfig, type RunConfig, withSetting } from "../train/config.js";
import { type Fit, type ForeignCheckpoint, loadForeign, readForeign } from "../train/foreign.js";
import { refuseTaken } from "../train/runFolder.js";
import { classesOf } from "./import/classes.js";
import { presetsLike, recognise } from "./import/recognise.js";
import { refuseMisfit, refuseOtherDetector, refuseOtherVersion, some } from "./import/refuse.js";

interface ImportArguments {
  readonly preset?: string;
  readonly out: string;
  readonly classes?: string;
  readonly set: readonly string[];
  readonly json: boolean;
}

/** What `--json` prints, and import.json keeps. */
interface ImportReport extends Fit {
  readonly checkpoint: string;
  readonly preset: string;
  readonly out: string;
  readonly detector: string;
  readonly classes: number;
  /** Where their names are from: "checkpoint", "COCO", or a file. */
  readonly classesFrom: string;
}

const examples = `
Reads checkpoints of mmdetection 1.x, as the paper's authors published for RetinaNet, FreeAnchor and FSAF, plain, pconv,
ibn, sepc-lite and sepc, and keeps their conventions: boxes whose width counts both ends (legacyBoxes), and extra
convolutions without padding (tower.extraPadding). Class names are the checkpoint's own; COCO's where it has none.

Examples:
  npx sepc import sepc_retinanet.pth --preset retinanet_r50_sepc_1x --out runs/sepc
  npx sepc import mine.pth --preset fsaf_r50_fpn_1x --classes names.txt --out runs/mine
  npx sepc import own.pth --preset retinanet_r50_sepc_1x --set model.tower.extraPadding=1 --out runs/own
  npx sepc detect photo.jpg --model runs/sepc`;

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export function define(command: Command): void {
  command
    .description("turn a checkpoint of mmdetection 1.x into a run of ours")
    .argument("<checkpoint>", "file of the other software: .pth, or its tensors as .safetensors")
    .option("--preset <name>", "what it was trained as; told from the file where only one fits")
    .requiredOption("--out <folder>", "where the run goes")
    .option("--classes <file>", "class names in the order of training: one a line, or a JSON list")
    .option("--set <path=value>", "change a setting; may be repeated", collect, [])
    .option("--json", "print the report as JSON", false)
    .addHelpText("after", examples)
    .action((file: string, options: ImportArguments) => {
      const report = scope(() => importCheckpoint(file, options));
      process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : show(report));
    });
}

function presetOf(checkpoint: ForeignCheckpoint, given: string | undefined): string {
  if (given !== undefined) return given;
  const found = presetsLike(recognise(checkpoint));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const hint = found.length > 1 ? `one of ${found.join(", ")}` : "what it was trained as (all: sepc models)";
  throw new EngineError("BAD_ARGUMENT", `${checkpoint.file}: expected --preset NAME, ${hint}`);
}

/** A preset's configuration with the conventions of mmdetection 1.x and of the official code. */
function configOf(name: string, set: readonly string[]): RunConfig {
  const base = preset(name);
  const { tower } = base.model;
  const pyramid = tower.kind !== "plain" && tower.kind !== "deformable";
  const model = { ...base.model, legacyBoxes: true, tower: { ...tower, extraPadding: pyramid ? 0 : 1 } };
  let raw: unknown = { ...base, model };
  for (const assignment of set) raw = withSetting(raw, assignment);
  return parseRunConfig(raw, `preset ${name}`);
}

/** best.safetensors, config.json and import.json. */
function writeRun(
  network: DetectorNetwork,
  config: RunConfig & { readonly classes: string[] },
  { epoch, step }: ForeignCheckpoint,
  report: ImportReport,
): void {
  const { out } = report;
  mkdirSync(out, { recursive: true });
  saveCheckpoint(join(out, "best.safetensors"), {
    model: network.stateDict(),
    ema: null,
    optimizer: null,
    progress: { epoch, stepInEpoch: 0, step, best: null },
    config,
    classes: config.classes,
  });
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  writeFileSync(join(out, "config.json"), json(config));
  writeFileSync(join(out, "import.json"), json(report));
}

/** Reads, compares and writes. */
function importCheckpoint(file: string, { out, set, ...options }: ImportArguments): ImportReport {
  refuseTaken(out, "name another folder by --out");
  const checkpoint = readForeign(file);
  refuseOtherVersion(checkpoint, set);
  const name = presetOf(checkpoint, options.preset);
  const config = configOf(name, set);
  const { detector } = config.model;
  const rename = mmdetectionNames(config.model);
  if (rename === null) {
    const message = `preset ${name}: sepc import knows no names of mmdetection's ${detector}`;
    throw new EngineError("BAD_ARGUMENT", message);
  }
  refuseOtherDetector(checkpoint, name, detector);
  const [names, classesFrom] = classesOf(checkpoint, options.classes);
  const network = buildDetector(config.model, names.length);
  const fit = loadForeign(network, checkpoint.tensors, rename);
  refuseMisfit(checkpoint, name, fit);
  const told = { checkpoint: file, preset: name, out, detector };
  const report = { ...told, classes: names.length, classesFrom, ...fit };
  writeRun(network, { ...config, classes: [...names] }, checkpoint, report);
  network.free();
  return report;
}

function show({
  checkpoint,
  preset: name,
  out,
  matched,
  leftOver,
  classes,
  classesFrom,
}: ImportReport): string {
  const rest = leftOver.length > 0 ? `; left over: ${some(leftOver)}` : "";
  return [
    `${checkpoint} as ${name}`,
    `  ${matched} tensors matched, none missing${rest}`,
    `  ${classes} classes, names from ${classesFrom}`,
    `  in ${out}; try: npx sepc detect PICTURE --model ${out}`,
    "",
  ].join("\n");
}
