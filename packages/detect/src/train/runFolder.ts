import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "@sepc/engine";

/** Checkpoints of a run, the one to use first. */
export const checkpoints = ["best.safetensors", "last.safetensors"] as const;

/** The checkpoint of a run's folder, the best before the last; undefined where there is none. */
export const checkpointIn = (folder: string): string | undefined =>
  checkpoints.map((name) => join(folder, name)).find((file) => existsSync(file));

/**
 * No run takes another's place by accident.
 * @param instead what to do, told in the error
 * @throws EngineError FILE when the folder holds a run's checkpoint.
 */
export function refuseTaken(folder: string, instead: string): void {
  const taken = checkpointIn(folder);
  if (taken !== undefined) throw new EngineError("FILE", `${taken}: there is a run already; ${instead}`);
}

/** Removes what an earlier run left: checkpoints, logs and report. Other files stay. */
export function clearRun(folder: string): void {
  const own = new Set<string>([...checkpoints, "log.jsonl", "report.html"]);
  for (const name of readdirSync(folder))
    if (own.has(name) || name.startsWith("events.out.tfevents.")) rmSync(join(folder, name));
}
