import { existsSync, readFileSync } from "node:fs";
import { EngineError } from "@sepc/engine";
import { COCO_CLASSES } from "../../data/datasets/cocoClasses.js";
import { classCount, type ForeignCheckpoint } from "../../train/foreign.js";

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

/** Names of a checkpoint's classes, and where they are from: the file given, the checkpoint, or "COCO". */
export function classesOf(
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
