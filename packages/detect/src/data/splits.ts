import { type OpenOptions, openDataset, splitsOf } from "./open.js";
import type { DetectionDataset } from "./types.js";

export interface NamedSplit {
  /** "train", "val", "test"; "all" for a data set that names none. */
  readonly split: string;
  readonly dataset: DetectionDataset;
}

/** All splits of a data set, or the one asked for; the whole where it names none. */
export async function openSplits(path: string, options: OpenOptions = {}): Promise<NamedSplit[]> {
  const { split } = options;
  const names = split === undefined ? splitsOf(path, options) : [split];
  if (names.length === 0) return [{ split: "all", dataset: await openDataset(path, options) }];
  const found: NamedSplit[] = [];
  for (const name of names)
    found.push({ split: name, dataset: await openDataset(path, { ...options, split: name }) });
  return found;
}
