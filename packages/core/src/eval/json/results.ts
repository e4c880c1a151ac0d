import { EntryError, faultOfResult, hasMask, type ResultColumns } from "../columns.js";
import type { Result, Segmentation } from "../types.js";
import { type ByteSource, JsonError, JsonScanner, nameBytes } from "./scanner.js";

export interface ReadResultsOptions {
  /** false: masks are passed over where there are boxes too. */
  readonly masks?: boolean | undefined;
}

const names = nameBytes(["image_id", "category_id", "bbox", "score", "segmentation"]);
const imageId = 0;
const categoryId = 1;
const bbox = 2;
const score = 3;

function grown(old: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  const made = new Float64Array(length);
  made.set(old);
  return made;
}

/** Columns as they fill. */
class Rows {
  image = new Float64Array(1024);
  category = new Float64Array(1024);
  score = new Float64Array(1024);
  box = new Float64Array(4096);
  masks: (Segmentation | undefined)[] | undefined;
  boxed = true;
  count = 0;

  reserve(): void {
    if (this.count < this.image.length) return;
    const length = 2 * this.count;
    this.image = grown(this.image, length);
    this.category = grown(this.category, length);
    this.score = grown(this.score, length);
    this.box = grown(this.box, 4 * length);
  }

  columns(): ResultColumns {
    const { count, masks } = this;
    if (masks) masks.length = count;
    return {
      count,
      image: this.image.slice(0, count),
      category: this.category.slice(0, count),
      score: this.score.slice(0, count),
      box: this.boxed ? this.box.slice(0, 4 * count) : undefined,
      masks,
    };
  }
}

/** The usual entry with a box, straight into its row; false where anything is not as usual. */
function readBox(scanner: JsonScanner, rows: Rows, wanted: boolean): boolean {
  if (!scanner.opensObject()) return false;
  const { count, box } = rows;
  let seen = 0;
  do {
    const field = scanner.nameAmong(names);
    if (field < 0) scanner.skip();
    else if (field === bbox) {
      if (!scanner.numbers(box, 4 * count, 4)) return false;
      if ((box[4 * count + 2] as number) < 0 || (box[4 * count + 3] as number) < 0) return false;
    } else if (field <= score) {
      const value = scanner.number();
      if (!Number.isFinite(value)) return false;
      (field === imageId ? rows.image : field === categoryId ? rows.category : rows.score)[count] = value;
    } else if (wanted) return false;
    else scanner.skip();
    if (field >= 0 && field <= score) seen |= 1 << field;
  } while (scanner.moreFields());
  for (let i = 0; i < 4; i++) if (!Number.isFinite(box[4 * count + i])) return false;
  return seen === 15;
}

/** Any entry, checked; says what is wrong with it. */
function readEntry(scanner: JsonScanner, rows: Rows, wanted: boolean): void {
  const raw = scanner.value() as { -readonly [F in keyof Result]: Result[F] | null } | null;
  if (typeof raw === "object" && raw !== null) {
    // What is null is not there.
    if (raw.bbox === null) raw.bbox = undefined;
    if (raw.segmentation === null) raw.segmentation = undefined;
  }
  const one = raw as Result;
  if (rows.count === 0) rows.boxed = (one?.bbox?.length ?? 0) > 0 || !hasMask(one ?? {});
  const fault = faultOfResult(one, rows.boxed);
  if (fault !== null) throw new EntryError("results", rows.count, fault);
  rows.image[rows.count] = one.image_id;
  rows.category[rows.count] = one.category_id;
  rows.score[rows.count] = one.score;
  if (rows.boxed) rows.box.set(one.bbox as readonly number[], 4 * rows.count);
  if (!hasMask(one) || (rows.boxed && !wanted)) return;
  rows.masks ??= [];
  rows.masks[rows.count] = one.segmentation;
}

/**
 * A COCO result file as columns, read as its bytes come: it may be larger than a string can be.
 * @throws JsonError where it is not JSON; EntryError at the first entry that is not well
 */
export function readResults(source: ByteSource, { masks = true }: ReadResultsOptions = {}): ResultColumns {
  const scanner = new JsonScanner(source);
  const rows = new Rows();
  let plain = false;
  let place = "the file";
  try {
    scanner.list((index) => {
      place = `results[${index}]`;
      rows.count = index;
      rows.reserve();
      const start = scanner.at;
      // The first shows what the others are like.
      if (index === 0 || !plain || !readBox(scanner, rows, masks)) {
        scanner.rewind(start);
        readEntry(scanner, rows, masks);
      }
      if (index === 0) plain = rows.boxed && (!masks || rows.masks === undefined);
      rows.count = index + 1;
    });
    scanner.finish();
  } catch (error) {
    if (error instanceof JsonError) throw new JsonError(`${place}: ${error.fault}`, error.offset);
    throw error;
  }
  return rows.columns();
}
