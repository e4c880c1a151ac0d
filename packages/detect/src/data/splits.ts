import { openDataset } from "./open.js";
import type { DetectionDataset } from "./types.js";

/** The splits of a data set that there are, or the one asked for, or the whole where it has none. */
export async function openSplits(path: string, split?: string): Promise<DetectionDataset[]> {
  if (split !== undefined) return [await openDataset(path, { split })];
  const found: DetectionDataset[] = [];
  for (const name of ["train", "val", "test"]) {
    const one = await openDataset(path, { split: name }).catch(() => null);
    // A file holds one split, whatever is asked for.
    if (one !== null && !found.some(({ name: own }) => own === one.name)) found.push(one);
  }
  return found.length > 0 ? found : [await openDataset(path)];
}
