import { availableParallelism } from "node:os";
import { checkPicture, type PictureState, type PictureToCheck } from "./checkPicture.js";
import type { DatasetProblem } from "./datasets/problem.js";
import type { NamedSplit } from "./splits.js";
import type { ImageRecord } from "./types.js";
import { WorkerPool } from "./workerPool.js";

export type FindingKind =
  | "bad entry"
  | "missing image"
  | "broken image"
  | "other size than stated"
  | "box outside the image"
  | "box partly outside the image"
  | "empty box"
  | "boxes that look like shares"
  | "duplicate box"
  | "duplicate image"
  | "image in two splits"
  | "class missing in a split"
  | "no objects";

export interface Finding {
  readonly kind: FindingKind;
  /** Errors make training or its measurement wrong; warnings may be meant. */
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
    const inside = `${at} in ${width}x${height}`;
    if (!(x2 > x1 && y2 > y1)) yield { kind: "empty box", severity: "error", file, detail: at };
    else if (x1 >= width || y1 >= height || x2 <= 0 || y2 <= 0)
      yield { kind: "box outside the image", severity: "error", file, detail: inside };
    // Up to a pixel is rounding, or a count of pixels from 1.
    else if (x1 < -1 || y1 < -1 || x2 > width + 1 || y2 > height + 1)
      yield {
        kind: "box partly outside the image",
        severity: "warning",
        file,
        detail: `${inside}; it is clipped`,
      };
    const key = `${label} ${box.join()}`;
    if (seen.has(key)) yield { kind: "duplicate box", severity: "warning", file, detail: at };
    seen.add(key);
  }
  if (objects.length === 0)
    yield { kind: "no objects", severity: "warning", file, detail: "nothing is labelled" };
}

/** What is odd about a split as a whole. */
function* splitFindings({ split, dataset }: NamedSplit): Generator<Finding> {
  const { name: file, images, categories } = dataset;
  const objects = images.flatMap((image) => image.objects);
  if (objects.length >= 10 && objects.every(({ box }) => Math.max(...box) <= 2))
    yield {
      kind: "boxes that look like shares",
      severity: "error",
      file,
      detail:
        "all boxes lie within 2 pixels of the corner; expected pixels, not shares of the picture's sides",
    };
  const used = new Set(objects.map(({ label }) => label));
  for (const [label, { name }] of categories.entries()) {
    if (used.has(label)) continue;
    yield {
      kind: "class missing in a split",
      severity: "warning",
      file,
      detail: `${name} has no object in ${split}`,
    };
  }
}

/** The same file twice: in one split it counts twice, in two it makes measurements worthless. */
function duplicateFinding(
  own: { split: string; file: string },
  other: { split: string; file: string } | undefined,
): Finding | null {
  if (other === undefined || (other.split === own.split && other.file === own.file)) return null;
  if (other.split === own.split)
    return {
      kind: "duplicate image",
      severity: "warning",
      file: own.file,
      detail: `the same as ${other.file}`,
    };
  const detail = `in ${own.split}, the same as ${other.file} in ${other.split}`;
  return { kind: "image in two splits", severity: "error", file: own.file, detail };
}

export interface CheckOptions {
  /** Threads that read pictures; as many as there are processors unless told, 0: this one. */
  readonly workers?: number | undefined;
  /** Entries that could not be understood when the data sets were opened. */
  readonly problems?: readonly DatasetProblem[] | undefined;
  /** Called after each picture. */
  readonly onImage?: (() => void) | undefined;
}

/** States of pictures in their order, a bounded number of them under way. */
async function* statesOf(
  pictures: readonly PictureToCheck[],
  pool: WorkerPool<PictureToCheck, PictureState> | null,
  together: number,
): AsyncGenerator<PictureState> {
  const ahead: Promise<PictureState>[] = [];
  let next = 0;
  const order = (): void => {
    while (next < pictures.length && ahead.length < together) {
      const { file, width, height } = pictures[next++] as PictureToCheck;
      const request = { file, width, height };
      const state = pool === null ? checkPicture(request) : pool.request(request);
      state.catch(() => {}); // told when its turn comes
      ahead.push(state);
    }
  };
  for (order(); ahead.length > 0; order()) yield await (ahead.shift() as Promise<PictureState>);
}

async function pictureFindings(
  splits: readonly NamedSplit[],
  pool: WorkerPool<PictureToCheck, PictureState> | null,
  workers: number,
  onImage: (() => void) | undefined,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const seen = new Map<string, { split: string; file: string }>();
  for (const { split, dataset } of splits) {
    let place = 0;
    for await (const { state, detail, hash } of statesOf(dataset.images, pool, 4 * Math.max(1, workers))) {
      const { file } = dataset.images[place++] as ImageRecord;
      if (state !== "good") findings.push({ kind: state, severity: "error", file, detail });
      if (hash !== null) {
        const finding = duplicateFinding({ split, file }, seen.get(hash));
        if (finding !== null) findings.push(finding);
        else seen.set(hash, { split, file });
      }
      onImage?.();
    }
  }
  return findings;
}

/** Everything that is wrong or odd with the splits of a data set; every picture is read. */
export async function checkDatasets(
  splits: readonly NamedSplit[],
  options: CheckOptions = {},
): Promise<Finding[]> {
  const { workers = availableParallelism(), problems = [], onImage } = options;
  const entries = problems.map(
    ({ file, where, detail }): Finding => ({
      kind: "bad entry",
      severity: "error",
      file,
      detail: `${where}: ${detail}`,
    }),
  );
  const pool = workers > 0 ? new WorkerPool<PictureToCheck, PictureState>("checkWorker", workers) : null;
  try {
    const pictures = await pictureFindings(splits, pool, workers, onImage);
    return [
      ...entries,
      ...splits.flatMap((one) => [...splitFindings(one)]),
      ...splits.flatMap(({ dataset }) => dataset.images.flatMap((image) => [...boxFindings(image)])),
      ...pictures,
    ];
  } finally {
    await pool?.close();
  }
}
