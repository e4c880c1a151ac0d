import { EntryError, faultOfAnnotation, hasMask, type TruthColumns } from "../columns.js";
import type { Annotation, Segmentation } from "../types.js";
import { type ByteSource, JsonError, JsonScanner, nameBytes } from "./scanner.js";

export interface ReadTruthOptions {
  /** false: masks are passed over. */
  readonly masks?: boolean | undefined;
}

const names = nameBytes(["id", "image_id", "category_id", "area", "iscrowd", "bbox", "segmentation"]);
const bbox = 5;
const needed = 0b100111 | (1 << 3);

/** Annotations as they come: numbers of one after the other, so that they grow as one. */
class Rows {
  /** id, image, category, area, crowd, x, y, width, height */
  numbers = new Float64Array(9 * 1024);
  masks: (Segmentation | undefined)[] | undefined;
  count = 0;

  reserve(): void {
    if (9 * (this.count + 1) <= this.numbers.length) return;
    const made = new Float64Array(2 * this.numbers.length);
    made.set(this.numbers);
    this.numbers = made;
  }

  columns(): Omit<TruthColumns, "images" | "categories"> {
    const { count, numbers, masks } = this;
    const column = (field: number): Float64Array =>
      new Float64Array(count).map((_, i) => numbers[9 * i + field] as number);
    const box = new Float64Array(4 * count);
    for (let i = 0; i < count; i++) box.set(numbers.subarray(9 * i + 5, 9 * i + 9), 4 * i);
    if (masks) masks.length = count;
    const crowd = Uint8Array.from(column(4), (value) => (value === 1 ? 1 : 0));
    return {
      count,
      id: column(0),
      image: column(1),
      category: column(2),
      area: column(3),
      crowd,
      box,
      masks,
    };
  }
}

/** The usual annotation, straight into its row; false where anything is not as usual. */
function readPlain(scanner: JsonScanner, rows: Rows): boolean {
  if (!scanner.opensObject()) return false;
  const { numbers, count } = rows;
  const first = 9 * count;
  numbers[first + 4] = 0;
  let seen = 0;
  do {
    const field = scanner.nameAmong(names);
    if (field < 0 || field > bbox) scanner.skip();
    else if (field === bbox) {
      if (!scanner.numbers(numbers, first + 5, 4)) return false;
    } else numbers[first + field] = scanner.number();
    if (field >= 0) seen |= 1 << field;
  } while (scanner.moreFields());
  for (let i = 0; i < 9; i++) if (!Number.isFinite(numbers[first + i])) return false;
  if ((numbers[first + 7] as number) < 0 || (numbers[first + 8] as number) < 0) return false;
  return (seen & needed) === needed;
}

/** Any annotation, checked; says what is wrong with it. */
function readAny(scanner: JsonScanner, rows: Rows, masks: boolean): void {
  const one = scanner.value() as Annotation;
  const fault = faultOfAnnotation(one);
  if (fault !== null) throw new EntryError("annotations", rows.count, fault);
  const { id, image_id, category_id, area, iscrowd, bbox: box } = one;
  // Some files write true and false.
  const crowd = iscrowd === 1 || (iscrowd as unknown) === true ? 1 : 0;
  rows.numbers.set([id ?? Number.NaN, image_id, category_id, area, crowd, ...box], 9 * rows.count);
  if (!masks || !hasMask(one)) return;
  rows.masks ??= [];
  rows.masks[rows.count] = one.segmentation;
}

type Image = TruthColumns["images"][number];
type Category = TruthColumns["categories"][number];

function readImage(scanner: JsonScanner, index: number): Image {
  const { id, width, height } = (scanner.value() ?? {}) as Partial<Image>;
  if (!Number.isFinite(id))
    throw new EntryError("images", index, `id: expected a finite number, got ${String(id)}`);
  return { id, width, height } as Image;
}

function readCategory(scanner: JsonScanner, index: number): Category {
  const { id, name } = (scanner.value() ?? {}) as Partial<Category>;
  if (!Number.isFinite(id))
    throw new EntryError("categories", index, `id: expected a finite number, got ${String(id)}`);
  return { id: id as number, name: typeof name === "string" ? name : String(id) };
}

/**
 * A COCO annotation file as columns, read as its bytes come: it may be larger than a string can be.
 * @throws JsonError where it is not JSON; EntryError at the first entry that is not well, or when a list is missing
 */
export function readTruth(source: ByteSource, { masks = true }: ReadTruthOptions = {}): TruthColumns {
  const scanner = new JsonScanner(source);
  const lists: { images?: Image[]; categories?: Category[]; annotations?: Rows } = {};
  let place = "the file";
  try {
    scanner.fields((name) => {
      place = name;
      if (name === "images" || name === "categories") {
        const read: (scanner: JsonScanner, index: number) => unknown =
          name === "images" ? readImage : readCategory;
        const list: unknown[] = [];
        scanner.list((index) => {
          place = `${name}[${index}]`;
          list[index] = read(scanner, index);
        });
        Object.assign(lists, { [name]: list });
      } else if (name === "annotations") {
        const rows = new Rows();
        lists.annotations = rows;
        scanner.list((index) => {
          place = `${name}[${index}]`;
          rows.count = index;
          rows.reserve();
          const start = scanner.at;
          if (masks || !readPlain(scanner, rows)) {
            scanner.rewind(start);
            readAny(scanner, rows, masks);
          }
          rows.count = index + 1;
        });
      } else scanner.whole(() => scanner.skip());
    });
    scanner.finish();
  } catch (error) {
    if (error instanceof JsonError) throw new JsonError(`${place}: ${error.fault}`, error.offset);
    throw error;
  }
  const { images, categories, annotations } = lists;
  if (images === undefined || categories === undefined || annotations === undefined) {
    const missing = ["images", "annotations", "categories"].filter((name) => !(name in lists));
    throw new RangeError(
      `expected the lists "images", "annotations" and "categories", found no "${missing.join('", no "')}"`,
    );
  }
  return { images, categories, ...annotations.columns() };
}
