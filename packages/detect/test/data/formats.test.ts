import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkDatasets } from "../../src/data/checkDataset.js";
import { openDataset } from "../../src/data/open.js";
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
      /annotations\.0: category_id 9/,
    ],
    [
      "an unknown image",
      { ...coco, annotations: [{ ...coco.annotations[0], image_id: 9 }] },
      /annotations\.0: image_id 9/,
    ],
    [
      "a box of three numbers",
      { ...coco, annotations: [{ ...coco.annotations[0], bbox: [1, 2, 3] }] },
      /annotations\.0\.bbox/,
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
      /a\.txt:2: expected a class from 0 to 0, got "7"/,
    );
  });
});

describe("checkDatasets", () => {
  test("finds what is wrong, and where", async () => {
    const good = await openDataset(at("coco"), { split: "val" });
    const image = good.images[0] as DetectionDataset["images"][number];
    const object = image.objects[0] as (typeof image.objects)[number];
    const odd = {
      ...good,
      images: [
        { ...image, height: 30, objects: [object, object, { ...object, box: [5, 5, 5, 9] as const }] },
        { ...image, file: at("gone.png"), objects: [{ ...object, box: [30, 0, 60, 10] as const }] },
        { ...image, objects: [] },
      ],
    };
    const kinds = (await checkDatasets([odd])).map(({ kind }) => kind);
    expect(new Set(kinds)).toEqual(
      new Set([
        "duplicate box",
        "empty box",
        "other size than stated",
        "box outside the image",
        "missing image",
        "no objects",
      ]),
    );
    expect(await checkDatasets([good])).toEqual([]);
  });
});

describe.skipIf(!existsSync(shared))("real data (needs ../shared/data)", () => {
  test("blood cells: Pascal VOC and COCO files say the same", async () => {
    for (const split of ["train", "val", "test"]) {
      const json = await openDataset(join(shared, "bccd", "annotations", `${split}.json`));
      const voc = await openDataset(join(shared, "bccd"), { split }).catch(() => null);
      expect(json.images.length).toBe({ train: 205, val: 87, test: 72 }[split]);
      expect(existsSync(json.images[0]?.file ?? "")).toBe(true);
      expect(voc?.images.length).toBe(json.images.length);
    }
  });

  test("COCO's own layout", async () => {
    const val = await openDataset(join(shared, "coco-mini"), { split: "val" });
    expect([val.images.length, val.categories.length]).toEqual([168, 80]);
    expect(val.images.flatMap(({ objects }) => objects).filter(({ crowd }) => crowd).length).toBe(17);
    expect(existsSync(val.images[0]?.file ?? "")).toBe(true);
  });
});
