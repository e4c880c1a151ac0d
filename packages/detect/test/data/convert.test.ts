import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkDatasets } from "../../src/data/checkDataset.js";
import { convertDataset } from "../../src/data/convert/convert.js";
import type { DatasetFormat } from "../../src/data/open.js";
import { type NamedSplit, openSplits } from "../../src/data/splits.js";
import { synthesize } from "../../src/data/synth/synthesize.js";
import type { DetectionDataset } from "../../src/data/types.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-convert-"));
const at = (...parts: string[]): string => join(folder, ...parts);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let source: NamedSplit[];

beforeAll(async () => {
  await synthesize({ out: at("source"), images: 6, width: 64, height: 48, min: 8, max: 30 });
  source = await openSplits(at("source"));
});

/** What a data set says, whatever its ids: classes, pictures, and boxes to a hundredth of a pixel. */
const contentOf = ({ categories, images }: DetectionDataset): unknown =>
  images
    .map(({ file, width, height, objects }) => ({
      picture: file.replace(/^.*[\\/]/, ""),
      width,
      height,
      objects: objects
        .map(
          ({ box, label }) =>
            `${categories[label]?.name} ${box.map((side) => Math.round(100 * side) / 100 + 0).join()}`,
        )
        .sort(),
    }))
    .sort((a, b) => a.picture.localeCompare(b.picture));

describe("convertDataset", () => {
  test.each([
    "coco",
    "yolo",
    "voc",
  ] as const)("writes %s that says the same and has no errors", async (to) => {
    const out = at(to);
    const result = convertDataset(source, { to, out });
    expect(result).toMatchObject({ images: 6, losses: { crowds: 0, emptyBoxes: 0, missingImages: 0 } });
    const back = await openSplits(out);
    expect(back.map(({ split }) => split)).toEqual(["train", "val"]);
    for (const [i, { dataset }] of back.entries())
      expect(contentOf(dataset)).toEqual(contentOf((source[i] as NamedSplit).dataset));
    const findings = await checkDatasets(back, { workers: 0 });
    expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
  });

  test("keeps ids, crowds and segmentations in COCO; counts what YOLO has no place for", async () => {
    const [train] = source as [NamedSplit];
    const [image] = train.dataset.images;
    const size: [number, number] = [48, 64];
    const segmentation = { size, counts: [3069, 3] };
    const crowd = { id: 900, box: [1, 1, 5, 5] as const, label: 1, crowd: true, area: 3, segmentation };
    const polygon = {
      id: 901,
      box: [1, 1, 5, 5] as const,
      label: 1,
      crowd: false,
      area: 8,
      segmentation: [[1, 1, 5, 1, 5, 5]],
    };
    const empty = { id: 902, box: [1, 1, 1, 5] as const, label: 1, crowd: false, area: 0 };
    if (image === undefined) throw new Error("no picture was made");
    const images = [
      { ...image, id: 77, objects: [crowd, polygon, empty] },
      { ...image, id: 78, file: at("gone.png"), objects: [] },
    ];
    const one = [{ split: "val", dataset: { ...train.dataset, images } }];
    convertDataset(one, { to: "coco", out: at("rich") });
    const [back] = (await openSplits(at("rich"))) as [NamedSplit];
    expect(back.dataset.images[0]).toMatchObject({ id: 77, objects: [crowd, polygon, empty] });
    expect(convertDataset(one, { to: "yolo", out: at("poor") }).losses).toEqual({
      crowds: 1,
      emptyBoxes: 1,
      missingImages: 1,
    });
    expect(convertDataset(one, { to: "voc", out: at("poor-voc") }).losses.crowds).toBe(1);
  });

  test("gives pictures of one name from two folders names of their own", () => {
    const [train] = source as [NamedSplit];
    const [image] = train.dataset.images;
    if (image === undefined) throw new Error("no picture was made");
    mkdirSync(at("elsewhere"));
    const twin = at("elsewhere", image.file.replace(/^.*[\\/]/, "").toUpperCase());
    writeFileSync(twin, readFileSync(image.file));
    const images = [image, { ...image, file: twin }];
    convertDataset([{ split: "train", dataset: { ...train.dataset, images } }], {
      to: "voc",
      out: at("twins"),
      pictures: "link",
    });
    const names = readFileSync(at("twins", "ImageSets", "Main", "train.txt"), "utf8")
      .trim()
      .split("\n");
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(2);
    for (const name of names) expect(existsSync(at("twins", "Annotations", `${name}.xml`))).toBe(true);
    expect(statSync(image.file).nlink).toBe(2);
  });

  test.each(["coco", "yolo", "voc"] as const)("keeps odd names of classes and pictures in %s", async (to) => {
    const [train] = source as [NamedSplit];
    const [image] = train.dataset.images;
    if (image === undefined) throw new Error("no picture was made");
    const names = ["a & b <c>", "1", "yes", "null", 'it\'s "q"', ": x", "犬"];
    const files = ["photo 1.png", "photo.png", "ä %20#.png"].map((name) => at(`odd-${name}`));
    for (const file of files) writeFileSync(file, readFileSync(image.file));
    const objects = names.map((_, label) => ({
      id: label + 1,
      box: [label, 1, label + 9, 9] as const,
      label,
      crowd: false,
      area: 72,
    }));
    const images = files.map((file, i) => ({ ...image, id: i + 1, file, objects }));
    const dataset = { name: "odd", categories: names.map((name, id) => ({ id, name })), images };
    const out = at(`odd-${to}`);
    convertDataset([{ split: "val", dataset }], { to, out });
    const [back] = (await openSplits(out)) as [NamedSplit];
    expect(contentOf(back.dataset)).toEqual(contentOf(dataset));
    expect(back.dataset.images.every(({ file }) => existsSync(file))).toBe(true);
  });

  test("touches no folder that holds files, and mixes no splits of other classes", () => {
    mkdirSync(at("full"));
    writeFileSync(at("full", "mine.txt"), "mine");
    expect(() => convertDataset(source, { to: "coco", out: at("full") })).toThrow(/new or empty/);
    const [train, val] = source as [NamedSplit, NamedSplit];
    const other = { ...val, dataset: { ...val.dataset, categories: [{ id: 1, name: "other" }] } };
    expect(() => convertDataset([train, other], { to: "yolo", out: at("mixed") })).toThrow(
      /different classes/,
    );
  });

  test("brings any box back through any two formats to a hundredth of a pixel", async () => {
    const [train] = source as [NamedSplit];
    const [image] = train.dataset.images;
    if (image === undefined) throw new Error("no picture was made");
    const side = (most: number) => fc.double({ min: 0, max: most, noNaN: true });
    const formats = fc.constantFrom<DatasetFormat>("coco", "yolo", "voc");
    let n = 0;
    await fc.assert(
      fc.asyncProperty(
        side(50),
        side(40),
        side(13.9),
        side(7.9),
        formats,
        formats,
        async (x, y, w, h, first, second) => {
          const box = [x, y, x + w + 0.1, y + h + 0.1] as const;
          const images = [{ ...image, objects: [{ id: 1, box, label: 2, crowd: false, area: 1 }] }];
          let splits: NamedSplit[] = [{ split: "train", dataset: { ...train.dataset, images } }];
          for (const to of [first, second]) {
            const out = at("round", String(n++));
            convertDataset(splits, { to, out });
            splits = await openSplits(out, { format: to });
          }
          const back = splits[0]?.dataset;
          const object = back?.images[0]?.objects[0];
          expect(back?.categories[object?.label ?? -1]?.name).toBe(train.dataset.categories[2]?.name);
          for (const [i, value] of (object?.box ?? []).entries())
            expect(Math.abs(value - (box[i] as number))).toBeLessThan(0.011);
        },
      ),
      { numRuns: 25 },
    );
  });
});
