import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError, scope } from "@sepc/engine";
import type { Command } from "commander";
import { COCO_CLASSES } from "../data/datasets/cocoClasses.js";
import { buildDetector, mmdetectionNames } from "../detectors/index.js";
import { preset } from "../presets/index.js";
import { saveCheckpoint } from "../train/checkpoint.js";
import { parseRunConfig, type RunConfig, withSetting } from "../train/config.js";
import { classCount, type Fit, type ForeignCheckpoint, loadForeign, readForeign } from "../train/foreign.js";
import { detectorNamed, presetsLike, recognise } from "./import/recognise.js";

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

function readClasses(file: string): string[] {
  if (!existsSync(file)) throw new EngineError("FILE", `--classes ${file}: there is no such file`);
  const text = readFileSync(file, "utf8").trim();
  if (!text.startsWith("[")) return text.split(/\r?\n/).map((line) => line.trim());
  try {
    const names: unknown = JSON.parse(text);
    if (Array.isArray(names) && names.every((name) => typeof name === "string")) return names;
  } catch {
    // Told below.
  }
  throw new EngineError(
    "BAD_ARGUMENT",
    `--classes ${file}: expected one name a line, or a JSON list of names`,
  );
}

function classesOf(
  checkpoint: ForeignCheckpoint,
  file: string | undefined,
): [names: readonly string[], from: string] {
  const count = classCount(checkpoint);
  const fits = (names: readonly string[]): boolean => count === null || names.length === count;
  if (file !== undefined) {
    const names = readClasses(file);
    if (fits(names)) return [names, file];
    const told = `the checkpoint tells ${count} classes apart, the file names ${names.length}`;
    throw new EngineError("BAD_ARGUMENT", `--classes ${file}: ${told}`);
  }
  if (checkpoint.classes !== null && fits(checkpoint.classes)) return [checkpoint.classes, "checkpoint"];
  if (fits(COCO_CLASSES)) return [COCO_CLASSES, "COCO"];
  throw new EngineError(
    "BAD_ARGUMENT",
    `${checkpoint.file}: it tells ${count} classes apart and does not name them; give their names in the order of ` +
      "training with --classes FILE, one a line",
  );
}

const some = (names: readonly string[]): string =>
  `${names.length} (${names.slice(0, 3).join(", ")}${names.length > 3 ? " ..." : ""})`;

/** Which preset to take instead, as far as that can be told. */
function advice(checkpoint: ForeignCheckpoint, name: string): string {
  const others = presetsLike(recognise(checkpoint)).filter((other) => other !== name);
  if (others.length === 0)
    return "Its network is that of no other preset; --set changes one (all: sepc models).";
  return `Its network is that of ${others.join(" or ")}: --preset ${others[0]}`;
}

function refuseMisfit(checkpoint: ForeignCheckpoint, name: string, fit: Fit): void {
  const { missing, misshaped } = fit;
  const strays = fit.leftOver.filter((stray) => /^(backbone|neck|bbox_head)\./.test(stray));
  const faults = [
    ...(missing.length > 0 ? [`missing in it: ${some(missing)}`] : []),
    ...(strays.length > 0 ? [`of no place here: ${some(strays)}`] : []),
    ...(misshaped.length > 0 ? [`of another shape: ${some(misshaped)}`] : []),
  ];
  if (faults.length === 0) return;
  throw new EngineError(
    "STATE_MISMATCH",
    `${checkpoint.file} does not fit preset ${name}:\n  ${faults.join("\n  ")}\n${advice(checkpoint, name)}`,
  );
}

/** Networks of RetinaNet and FreeAnchor are alike and their boxes are not: the configuration in the file decides. */
function refuseOtherDetector(checkpoint: ForeignCheckpoint, name: string, detector: string): void {
  const named = detectorNamed(checkpoint);
  if (named === null || named === detector) return;
  throw new EngineError(
    "STATE_MISMATCH",
    `${checkpoint.file} does not fit preset ${name}: it was trained with ${checkpoint.head}. ${advice(checkpoint, name)}`,
  );
}

function refuseRun(out: string): void {
  const taken = ["best.safetensors", "last.safetensors"].find((name) => existsSync(join(out, name)));
  if (taken === undefined) return;
  throw new EngineError("FILE", `--out ${out}: there is a run already (${taken}); name another folder`);
}

/** `sepc import`: reads, compares, and writes best.safetensors, config.json and import.json. */
function importCheckpoint(file: string, options: ImportArguments): ImportReport {
  const { out } = options;
  refuseRun(out);
  const checkpoint = readForeign(file);
  const name = presetOf(checkpoint, options.preset);
  const config = configOf(name, options.set);
  const { detector } = config.model;
  const rename = mmdetectionNames(config.model);
  if (rename === null)
    throw new EngineError(
      "BAD_ARGUMENT",
      `preset ${name}: sepc import knows no names of mmdetection's ${detector}`,
    );
  refuseOtherDetector(checkpoint, name, detector);
  const [classes, classesFrom] = classesOf(checkpoint, options.classes);
  const network = buildDetector(config.model, classes.length);
  const fit = loadForeign(network, checkpoint.tensors, rename);
  refuseMisfit(checkpoint, name, fit);
  const whole = { ...config, classes: [...classes] };
  const { epoch, step } = checkpoint;
  mkdirSync(out, { recursive: true });
  saveCheckpoint(join(out, "best.safetensors"), {
    model: network.stateDict(),
    ema: null,
    optimizer: null,
    progress: { epoch, stepInEpoch: 0, step, best: null },
    config: whole,
    classes,
  });
  const report = {
    checkpoint: file,
    preset: name,
    out,
    detector,
    classes: classes.length,
    classesFrom,
    ...fit,
  };
  writeFileSync(join(out, "config.json"), `${JSON.stringify(whole, null, 2)}\n`);
  writeFileSync(join(out, "import.json"), `${JSON.stringify(report, null, 2)}\n`);
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
