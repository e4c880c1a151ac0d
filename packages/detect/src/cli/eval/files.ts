import { closeSync, openSync, readSync, statSync } from "node:fs";
import {
  type ByteSource,
  EntryError,
  JsonError,
  type ResultColumns,
  readResults,
  readTruth,
  type TruthColumns,
} from "@sepc/core/eval";
import { EngineError } from "../../data/errors.js";

/** Runs `read` on a file's bytes; what is wrong with the file is said with its name. */
function readFile<T>(path: string, read: (source: ByteSource) => T): T {
  let file: number;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new EngineError("FILE", `${path}: there is no such file`);
  if (stat.isDirectory()) throw new EngineError("FILE", `${path}: expected a JSON file, got a folder`);
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw new EngineError("FILE", `${path}: ${(cause as Error).message}`, { cause });
  }
  try {
    return read((into) => readSync(file, into, 0, into.length, null));
  } catch (cause) {
    if (cause instanceof JsonError || cause instanceof RangeError)
      throw new EngineError("BAD_ARGUMENT", `${path}: ${cause.message}`, { cause });
    throw new EngineError("FILE", `${path}: ${(cause as Error).message}`, { cause });
  } finally {
    closeSync(file);
  }
}

export interface Files {
  readonly annotations: string;
  readonly results: string;
}

/** Both files as columns, and what is to be measured: masks are read only where they are. */
export function readFiles(
  { annotations, results }: Files,
  type?: "bbox" | "segm",
): { readonly truth: TruthColumns; readonly found: ResultColumns; readonly type: "bbox" | "segm" } {
  const found = readFile(results, (source) => readResults(source, { masks: type === "segm" }));
  const own = type ?? (found.box === undefined ? "segm" : "bbox");
  const truth = readFile(annotations, (source) => readTruth(source, { masks: own === "segm" }));
  if (own === "segm" && found.count > 0 && truth.masks === undefined && truth.count > 0)
    throw new EngineError("BAD_ARGUMENT", `${annotations}: expected masks for --type segm, found boxes only`);
  return { truth, found, type: own };
}

/** Runs `body`; an entry that it complains of is said with the name of its file. */
export function namingFiles<T>({ annotations, results }: Files, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const list = cause instanceof EntryError ? cause.list : (cause.message.match(/^\w+(?=\[)/)?.[0] ?? "");
    const file = list === "results" ? `${results}: ` : list === "annotations" ? `${annotations}: ` : "";
    throw new EngineError("BAD_ARGUMENT", file + cause.message, { cause });
  }
}
