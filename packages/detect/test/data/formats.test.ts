import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DatasetProblem } from "../../src/data/datasets/problem.js";
import { openDataset, splitsOf } from "../../src/data/open.js";
import type { DetectionDataset } from "../../src/data/types.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-formats-"));
const shared = fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (...parts: string[]): string => join(folder, ...parts);
function write(path: string, text: string): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
}
async function picture(path: string): Promise<void> {
  mkdirSync(join(path, ".."), { recursive: true });
  await sharp({ create: { width: 40, height: 20, channels: 3, background: "red" } })
    .png()
    .toFile(path);
}

const coco = {
  images: [{ id: 7, file_name: "ä b.png", width: 40, height: 20 }],
  annotations: [{ id: 1, image_id: 7, category_id: 3, bbox: [4, 5, 10, 8], area: 80, iscrowd: 0 }],
  categories: [
    { id: 3, name: "dog" },
    { id: 1, name: "cat" },
  ],
};

beforeAll(async () => {
  await picture(at("coco", "val", "ä b.png"));
  write(at("coco", "annotations", "val.json"), JSON.stringify(coco));
  await picture(at("voc", "JPEGImages", "one.png"));
  write(
    at("voc", "Annotations", "one.xml"),
    "<annotation><filename>one.png</filename><size><width>40</width><height>20</height></size>" +
      "<object><name>dog</name><difficult>1</difficult><bndbox><xmin>4</xmin><ymin>5</ymin><xmax>14</xmax><ymax>13</ymax></bndbox></object>" +
      "<object><name>cat</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></object></annotation>",
  );
  write(at("voc", "ImageSets", "Main", "val.txt"), "one\n");
  await picture(at("yolo", "images", "val", "one.png"));
  write(at("yolo", "labels", "val", "one.txt"), "1 0.225 0.45 0.25 0.4\n0 0.1 0.1 0.5 0.1 0.5 0.5\n");
  write(at("yolo", "data.yaml"), "path: .\nval: images/val\nnames:\n  0: cat\n  1: dog\n");
});

const firstBox = ({ images }: DetectionDataset): number[] => [...(images[0]?.objects[0]?.box ?? [])];

describe("openDataset", () => {
  test("reads COCO: labels by the order of ids, pictures where they are", async () => {
    const dataset = await openDataset(at("coco"), { split: "val" });
    expect(dataset.categories.map(({ name }) => name)).toEqual(["cat", "dog"]);
    expect(dataset.images[0]?.objects[0]).toMatchObject({ label: 1, area: 80, crowd: false });
    expect(firstBox(dataset)).toEqual([4, 5, 14, 13]);
    expect(existsSync(dataset.images[0]?.file ?? "")).toBe(true);
  });

  test("reads Pascal VOC and YOLO to the same boxes", async () => {
    const voc = await openDataset(at("voc"), { split: "val" });
    expect(firstBox(voc)).toEqual([4, 5, 14, 13]);
    expect(voc.images[0]?.objects.map(({ label, difficult }) => [label, difficult])).toEqual([
      [1, true],
      [0, false],
    ]);
    const yolo = await openDataset(at("yolo"), { split: "val" });
    for (const [i, side] of firstBox(yolo).entries())
      expect(side).toBeCloseTo([4, 5, 14, 13][i] as number, 9);
    expect(yolo.images[0]?.objects[1]).toMatchObject({ label: 0, box: [4, 2, 20, 10] });
    expect(yolo.images[0]).toMatchObject({ width: 40, height: 20 });
  });

  test.each([
    ["no such place", "nowhere", /there is no such data set/],
    ["a folder of nothing", ".", /expected a COCO/],
  ])("refuses %s", async (_name, place, message) => {
    mkdirSync(at("empty"), { recursive: true });
    await expect(openDataset(place === "." ? at("empty") : at(place))).rejects.toThrow(message);
  });

  test.each([
    ["text that is no JSON", "{", /bad\.json/],
    [
      "an unknown category",
      { ...coco, annotations: [{ ...coco.annotations[0], category_id: 9 }] },
      /annotations\.0\.category_id: expected one of .* \(1, 3\), got 9/,
    ],
    [
      "an unknown image",
      { ...coco, annotations: [{ ...coco.annotations[0], image_id: 9 }] },
      /annotations\.0\.image_id: .* got 9/,
    ],
    [
      "a box of three numbers",
      { ...coco, annotations: [{ ...coco.annotations[0], bbox: [1, 2, 3] }] },
      /annotations\.0\.bbox: expected \[x, y, width, height\] in pixels, got \[1,2,3\]/,
    ],
    ["no images", { annotations: [], categories: coco.categories }, /images/],
  ])("refuses COCO with %s, naming the entry", async (_name, content, message) => {
    write(at("bad.json"), typeof content === "string" ? content : JSON.stringify(content));
    await expect(openDataset(at("bad.json"))).rejects.toThrow(message);
  });

  test("refuses a YOLO line that makes no sense, naming file and line", async () => {
    await picture(at("yolo2", "images", "train", "a.png"));
    write(at("yolo2", "labels", "train", "a.txt"), "0 0.5 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n");
    write(at("yolo2", "data.yaml"), "train: images/train\nnames: [cat]\n");
    await expect(openDataset(at("yolo2"), { split: "train" })).rejects.toThrow(
      /a\.txt: line 2: expected a class from 0 to 0, got "7"/,
    );
  });
});

describe("openDataset finds", () => {
  test("pictures of other case and with the other system's slashes", async () => {
    await picture(at("case", "train", "sub", "Ünï 1.PNG"));
    const images = [{ id: 1, file_name: "sub\\ünï 1.png", width: 40, height: 20 }];
    write(at("case", "annotations", "train.json"), JSON.stringify({ ...coco, images, annotations: [] }));
    const dataset = await openDataset(at("case"), { split: "train" });
    expect(dataset.images[0]?.file).toBe(at("case", "train", "sub", "Ünï 1.PNG"));
  });

  test("annotations in a folder for each split, called valid", async () => {
    await picture(at("robo", "valid", "a.png"));
    const images = [{ id: 7, file_name: "a.png", width: 40, height: 20 }];
    write(at("robo", "valid", "_annotations.coco.json"), JSON.stringify({ ...coco, images }));
    expect(splitsOf(at("robo"))).toEqual(["val"]);
    const dataset = await openDataset(at("robo"), { split: "val" });
    expect(dataset.images[0]?.file).toBe(at("robo", "valid", "a.png"));
  });

  test("YOLO folders without data.yaml, their classes in a text file", async () => {
    await picture(at("plain", "images", "a.png"));
    write(at("plain", "labels", "a.txt"), "0 0.5 0.5 0.5 0.5\r\n");
    await expect(openDataset(at("plain"))).rejects.toThrow(
      /no names of classes: expected data\.yaml, or classes\.txt/,
    );
    write(at("plain", "classes.txt"), "cat\n");
    const dataset = await openDataset(at("plain"));
    expect(firstBox(dataset)).toEqual([10, 5, 30, 15]);
    expect(dataset.categories).toEqual([{ id: 0, name: "cat" }]);
  });

  test("the picture's own size where Pascal VOC's file tells none", async () => {
    await picture(at("voc2", "JPEGImages", "one.png"));
    write(
      at("voc2", "Annotations", "one.xml"),
      "<annotation><object><name>a &amp; b</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>",
    );
    const dataset = await openDataset(at("voc2"));
    expect(dataset.images[0]).toMatchObject({
      width: 40,
      height: 20,
      file: at("voc2", "JPEGImages", "one.png"),
    });
    expect(dataset.categories[0]?.name).toBe("a & b");
    expect(dataset.images[0]?.objects[0]?.label).toBe(0);
  });
});

describe("openDataset refuses", () => {
  test("several splits where none is named, and splits that are not there, listing them", async () => {
    for (const split of ["train", "val"])
      write(at("two", "annotations", `instances_${split}2017.json`), JSON.stringify(coco));
    await expect(openDataset(at("two"))).rejects.toThrow(/none is asked for; splits there: train, val/);
    await expect(openDataset(at("two"), { split: "test" })).rejects.toThrow(
      /no split "test"; splits there: train, val/,
    );
    await expect(openDataset(at("yolo"), { split: "test" })).rejects.toThrow(
      /no split "test"; splits there: val/,
    );
    await expect(openDataset(at("voc"), { split: "test" })).rejects.toThrow(
      /no such list of split "test"; splits there: val/,
    );
  });

  test.each([
    ["gaps in YOLO's classes", "train: images\nnames: {0: cat, 2: dog}\n", /without gaps/],
    ["a count that differs", "train: images\nnc: 3\nnames: [cat, dog]\n", /nc = 3/],
    ["the same class twice", "train: images\nnames: [cat, cat]\n", /name of its own/],
    ["no folder of pictures", "names: [cat]\n", /expected train, val or test/],
    ["no YAML", "names: [cat\n", /expected YAML/],
  ])("%s", async (_name, yaml, message) => {
    write(at("bad", "data.yaml"), yaml);
    await expect(openDataset(at("bad", "data.yaml"))).rejects.toThrow(message);
  });

  test("YOLO pictures of which none has labels", async () => {
    await picture(at("bare", "images", "a.png"));
    write(at("bare", "data.yaml"), "train: images\nnames: [cat]\n");
    await expect(openDataset(at("bare"))).rejects.toThrow(
      /no picture has a label file; expected .*labels.a\.txt/,
    );
  });

  test.each([
    [
      "two images of one id",
      { images: [...coco.images, ...coco.images] },
      /images\.1\.id: expected an id of its own, got 7/,
    ],
    [
      "two categories of one name",
      {
        categories: [
          { id: 1, name: "a" },
          { id: 2, name: "a" },
        ],
      },
      /categories\.1\.name/,
    ],
    [
      "an image without a size",
      { images: [{ id: 7, file_name: "a.png", width: 40 }] },
      /images\.0\.height: expected pixels/,
    ],
    [
      "a crowd that is no run lengths",
      { annotations: [{ ...coco.annotations[0], iscrowd: 1, segmentation: [[1, 2, 3, 4, 5, 6]] }] },
      /annotations\.0\.segmentation: expected run lengths/,
    ],
    ["a list for the whole", [1, 2], /expected COCO annotations with lists/],
  ])("COCO with %s", async (_name, part, message) => {
    write(at("bad.json"), JSON.stringify(Array.isArray(part) ? part : { ...coco, ...part }));
    await expect(openDataset(at("bad.json"))).rejects.toThrow(message);
  });

  test.each([
    [
      "no number for a side",
      "<annotation><object><name>a</name><bndbox><xmin>x</xmin></bndbox></object></annotation>",
      /object 1: xmin: expected a number, got "x"/,
    ],
    [
      "an object without a class",
      "<annotation><object><bndbox/></object></annotation>",
      /object 1: name: expected a class/,
    ],
    ["other XML", "<html/>", /expected XML with <annotation>/],
  ])("Pascal VOC with %s", async (_name, xml, message) => {
    mkdirSync(at("voc3", "JPEGImages"), { recursive: true });
    write(at("voc3", "Annotations", "one.xml"), xml);
    await expect(openDataset(at("voc3"))).rejects.toThrow(message);
  });

  test("nothing that a caller wants to hear of instead: wrong entries are left out", async () => {
    const annotations = [{ ...coco.annotations[0], bbox: "wide" }, coco.annotations[0]];
    write(at("bad.json"), JSON.stringify({ ...coco, annotations }));
    const problems: DatasetProblem[] = [];
    const dataset = await openDataset(at("bad.json"), {
      onProblem: (problem) => void problems.push(problem),
    });
    expect(dataset.images[0]?.objects.length).toBe(1);
    expect(problems).toEqual([
      { file: at("bad.json"), where: "annotations.0.bbox", detail: expect.stringContaining('got "wide"') },
    ]);
  });
});

describe.skipIf(!existsSync(shared))("real data (needs ../shared/data)", () => {
  const boxesOf = (dataset: DetectionDataset): Map<string, string[]> =>
    new Map(
      dataset.images.map(({ file, width, height, objects }) => [
        `${file} ${width} ${height}`,
        objects.map(({ box, label }) => `${dataset.categories[label]?.name} ${box.join()}`).sort(),
      ]),
    );

  test("blood cells: Pascal VOC and COCO files say the same", async () => {
    for (const [split, count] of [
      ["train", 205],
      ["val", 87],
      ["test", 72],
    ] as const) {
      const json = await openDataset(join(shared, "bccd"), { split, format: "coco" });
      const voc = await openDataset(join(shared, "bccd"), { split, format: "voc" });
      expect(json.images.length).toBe(count);
      expect(boxesOf(voc)).toEqual(boxesOf(json));
      expect(json.images.every(({ file }) => existsSync(file))).toBe(true);
    }
  });

  test("COCO's own layout", async () => {
    expect(splitsOf(join(shared, "coco-mini"))).toEqual(["train", "val"]);
    for (const [split, images, objects, crowds] of [
      ["train", 166, 1580, 15],
      ["val", 168, 1498, 17],
    ] as const) {
      const dataset = await openDataset(join(shared, "coco-mini"), { split });
      const all = dataset.images.flatMap((image) => image.objects);
      expect([dataset.images.length, dataset.categories.length]).toEqual([images, 80]);
      expect([all.length, all.filter(({ crowd }) => crowd).length]).toEqual([objects, crowds]);
      expect(dataset.images.every(({ file }) => existsSync(file))).toBe(true);
    }
  });
});
