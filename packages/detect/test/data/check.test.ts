import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkDatasets, type Finding } from "../../src/data/checkDataset.js";
import { statisticsOf } from "../../src/data/statistics.js";
import type { DetectionDataset, ImageRecord, LabelledObject } from "../../src/data/types.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-check-"));
const at = (...parts: string[]): string => join(folder, ...parts);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let made = 0;
/** A picture of 40x20, no two the same unless told. */
async function picture(path: string, colour = `rgb(${made++}, 9, 9)`): Promise<void> {
  mkdirSync(join(path, ".."), { recursive: true });
  await sharp({ create: { width: 40, height: 20, channels: 3, background: colour } })
    .png()
    .toFile(path);
}

const object = (box: readonly [number, number, number, number], id = 1): LabelledObject => ({
  id,
  box,
  label: 0,
  crowd: false,
  area: (box[2] - box[0]) * (box[3] - box[1]),
});
const good = object([1, 2, 11, 12]);
const record = (name: string, objects: readonly LabelledObject[] = [good]): ImageRecord => ({
  id: 1,
  file: at(name),
  width: 40,
  height: 20,
  objects,
});
const dataset = (images: readonly ImageRecord[]): DetectionDataset => ({
  name: "made",
  categories: [{ id: 1, name: "cat" }],
  images,
});
const findings = (images: readonly ImageRecord[], workers = 0): Promise<Finding[]> =>
  checkDatasets([{ split: "train", dataset: dataset(images) }], { workers });

beforeAll(async () => {
  for (const name of ["a.png", "b.png", "c.png"]) await picture(at(name));
  const whole = await sharp({
    create: {
      width: 300,
      height: 300,
      channels: 3,
      background: "blue",
      noise: { type: "gaussian", mean: 128, sigma: 60 },
    },
  })
    .jpeg()
    .toBuffer();
  writeFileSync(at("cut.jpg"), whole.subarray(0, whole.length / 2));
  await sharp(at("a.png")).withMetadata({ orientation: 6 }).jpeg().toFile(at("turned.jpg"));
});

describe("checkDatasets", () => {
  test("has nothing to say of what is right, in threads or without", async () => {
    for (const workers of [0, 2])
      expect(await findings([record("a.png"), record("b.png")], workers)).toEqual([]);
  });

  test.each([
    ["a missing picture", record("none.png"), "missing image", "error", /no such file/],
    ["half a picture", { ...record("cut.jpg"), width: 300, height: 300 }, "broken image", "error", /./],
    [
      "another size",
      { ...record("a.png"), height: 30 },
      "other size than stated",
      "error",
      /40x20, the annotations say 40x30/,
    ],
    ["a turned picture", record("turned.jpg"), "other size than stated", "error", /20x40.*EXIF/],
    [
      "a box without width",
      record("a.png", [object([5, 5, 5, 9])]),
      "empty box",
      "error",
      /object 1 \[5, 5, 5, 9\]/,
    ],
    [
      "a box outside",
      record("a.png", [object([41, 0, 60, 9])]),
      "box outside the image",
      "error",
      /in 40x20/,
    ],
    [
      "a box partly outside",
      record("a.png", [object([30, 0, 60, 9])]),
      "box partly outside the image",
      "warning",
      /clipped/,
    ],
    ["a box twice", record("a.png", [good, { ...good, id: 2 }]), "duplicate box", "warning", /object 2/],
  ] as const)("finds %s", async (_name, image, kind, severity, detail) => {
    const found = await findings([image]);
    expect(found).toEqual([{ kind, severity, file: image.file, detail: expect.stringMatching(detail) }]);
  });

  test("takes boxes up to a pixel outside for rounding", async () => {
    expect(await findings([record("a.png", [object([-0.5, 0, 40.5, 21])])])).toEqual([]);
  });

  test("finds shares of sides where pixels are expected", async () => {
    const shares = Array.from({ length: 12 }, (_, i) => object([0.1, 0.1, 0.5, 0.2 + i / 100], i + 1));
    expect((await findings([record("a.png", shares)])).map(({ kind }) => kind)).toContain(
      "boxes that look like shares",
    );
  });

  test("finds pictures without objects, and classes that a split has not", async () => {
    expect((await findings([record("a.png", [])])).map(({ kind }) => kind).sort()).toEqual([
      "class missing in a split",
      "no objects",
    ]);
  });

  test("finds the same picture under another name: odd in a split, wrong in two", async () => {
    copyFileSync(at("a.png"), at("again.png"));
    const [first, second] = [record("a.png"), record("again.png")];
    expect((await findings([first, second], 2))[0]).toMatchObject({
      kind: "duplicate image",
      severity: "warning",
    });
    const leak = await checkDatasets(
      [
        { split: "train", dataset: dataset([first]) },
        { split: "val", dataset: dataset([second]) },
      ],
      { workers: 0 },
    );
    expect(leak).toEqual([
      {
        kind: "image in two splits",
        severity: "error",
        file: second.file,
        detail: `in val, the same as ${first.file} in train`,
      },
    ]);
  });

  test("tells of entries that could not be read, and counts pictures", async () => {
    let images = 0;
    const found = await checkDatasets(
      [{ split: "train", dataset: dataset([record("a.png"), record("b.png")]) }],
      {
        workers: 1,
        problems: [{ file: "x.json", where: "annotations.3.bbox", detail: "expected a box" }],
        onImage: () => images++,
      },
    );
    expect(found).toEqual([
      { kind: "bad entry", severity: "error", file: "x.json", detail: "annotations.3.bbox: expected a box" },
    ]);
    expect(images).toBe(2);
  });
});

test("statisticsOf counts sizes, classes, aspects and objects an image", () => {
  const boxes = [
    object([0, 0, 10, 10]),
    object([0, 0, 80, 40], 2),
    object([0, 0, 100, 100], 3),
    { ...object([0, 0, 10, 40], 4), crowd: true },
  ];
  const stats = statisticsOf(dataset([record("a.png", boxes), record("b.png", [])]));
  expect(stats).toMatchObject({
    images: 2,
    objects: 4,
    crowds: 1,
    withoutObjects: 1,
    perClass: { cat: 4 },
    small: 2,
    medium: 1,
    large: 1,
    byRootArea: { "8-16": 1, "16-32": 1, "32-64": 1, "64-128": 1 },
    byAspect: { "1/4 : 1": 1, "1 : 1": 2, "2 : 1": 1 },
    byObjects: { "0": 1, "4-7": 1 },
    imageSizes: { "40x20": 2 },
  });
});
