import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { decodeImage } from "./decode.js";
import type { DetectionDataset, ImageRecord } from "./types.js";

export type FindingKind =
  | "missing image"
  | "broken image"
  | "other size than stated"
  | "box outside the image"
  | "empty box"
  | "duplicate box"
  | "duplicate image"
  | "no objects";

export interface Finding {
  readonly kind: FindingKind;
  /** Errors make training wrong; warnings may be meant. */
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly detail: string;
}

const boxText = (box: readonly number[]): string =>
  `[${box.map((side) => Number(side.toFixed(1))).join(", ")}]`;

function* boxFindings({ file, width, height, objects }: ImageRecord): Generator<Finding> {
  const seen = new Set<string>();
  for (const { box, label, id } of objects) {
    const [x1, y1, x2, y2] = box;
    const at = `object ${id} ${boxText(box)}`;
    if (!(x2 > x1 && y2 > y1)) yield { kind: "empty box", severity: "error", file, detail: at };
    // Half a pixel is rounding.
    else if (x1 < -0.5 || y1 < -0.5 || x2 > width + 0.5 || y2 > height + 0.5)
      yield { kind: "box outside the image", severity: "error", file, detail: `${at} in ${width}x${height}` };
    const key = `${label} ${box.join()}`;
    if (seen.has(key)) yield { kind: "duplicate box", severity: "warning", file, detail: at };
    seen.add(key);
  }
  if (objects.length === 0)
    yield { kind: "no objects", severity: "warning", file, detail: "nothing is labelled" };
}

/** Reads the picture itself: is it there, whole, and of the size that the annotations say? */
async function pictureFinding({ file, width, height }: ImageRecord): Promise<Finding | null> {
  if (!existsSync(file))
    return { kind: "missing image", severity: "error", file, detail: "there is no such file" };
  try {
    const image = await decodeImage(file);
    if (image.width === width && image.height === height) return null;
    const detail = `${image.width}x${image.height}, the annotations say ${width}x${height}`;
    return { kind: "other size than stated", severity: "error", file, detail };
  } catch (error) {
    return { kind: "broken image", severity: "error", file, detail: (error as Error).message };
  }
}

/** Everything that is wrong or odd with data sets of one source, splits together. */
export async function checkDatasets(
  datasets: readonly DetectionDataset[],
  onImage?: () => void,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const hashes = new Map<string, string>();
  for (const dataset of datasets) {
    for (const image of dataset.images) {
      findings.push(...boxFindings(image));
      const finding = await pictureFinding(image);
      if (finding !== null) findings.push(finding);
      if (existsSync(image.file)) {
        const hash = createHash("sha256").update(readFileSync(image.file)).digest("hex");
        const other = hashes.get(hash);
        if (other !== undefined && other !== image.file)
          findings.push({
            kind: "duplicate image",
            severity: "warning",
            file: image.file,
            detail: `the same as ${other}`,
          });
        hashes.set(hash, other ?? image.file);
      }
      onImage?.();
    }
  }
  return findings;
}
