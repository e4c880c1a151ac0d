import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Outcome, sepcHere } from "./support/command.js";

const root = join(import.meta.dirname, "..", "..", "..");
const data = join(root, "..", "shared", "data");
const folder = mkdtempSync(join(tmpdir(), "sepc-eval-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, value: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
  return path;
}

const evaluate = (...args: string[]): Promise<Outcome> => sepcHere("eval", ...args);

const truth = {
  images: [
    { id: 1, width: 100, height: 100 },
    { id: 2, width: 100, height: 100 },
  ],
  categories: [
    { id: 3, name: "cat" },
    { id: 5, name: "dog" },
  ],
  annotations: [
    { id: 1, image_id: 1, category_id: 3, bbox: [10, 10, 40, 40], area: 1600, iscrowd: 0 },
    { id: 2, image_id: 1, category_id: 5, bbox: [60, 60, 20, 20], area: 400, iscrowd: 0 },
    { id: 3, image_id: 2, category_id: 3, bbox: [0, 0, 30, 30], area: 900, iscrowd: 0 },
  ],
};
const results = [
  { image_id: 1, category_id: 3, bbox: [10, 10, 40, 40], score: 0.9 },
  { image_id: 1, category_id: 3, bbox: [60, 60, 20, 20], score: 0.6 },
  { image_id: 2, category_id: 3, bbox: [0, 0, 30, 24], score: 0.5 },
  { image_id: 2, category_id: 99, bbox: [0, 0, 30, 24], score: 0.5 },
];

describe("sepc eval on files", () => {
  let files: string[];
  beforeAll(() => {
    files = ["--annotations", write("truth.json", truth), "--results", write("results.json", results)];
  });

  test("prints the 12 figures, classes, sizes and counts as JSON", async () => {
    const { code, out, err } = await evaluate(...files, "--json");
    expect(err).toBe("");
    expect(code).toBe(0);
    const found = JSON.parse(out);
    expect(found.stats).toHaveLength(12);
    expect(found.stats[8]).toBeCloseTo((1.7 / 2 + 0) / 2, 12);
    expect(found).toMatchObject({ type: "bbox", maxDets: [1, 10, 100], useCats: true });
    expect(found.classes.map(({ name, objects, detections }: never) => [name, objects, detections])).toEqual([
      ["cat", 2, 3],
      ["dog", 1, 0],
    ]);
    expect(found.sizes.map(({ name }: { name: string }) => name)).toEqual([
      "all",
      "small",
      "medium",
      "large",
    ]);
    expect(found.counts).toMatchObject({ images: 2, objects: 3, detections: 3, unknownClass: 1 });
    expect(found.timings.total).toBeGreaterThan(0);
    expect(found).not.toHaveProperty("voc");
    expect(found).not.toHaveProperty("confusion");
  });

  test("prints tables for people", async () => {
    const { code, out } = await evaluate(...files, "--voc", "--errors", "--confusion");
    expect(code).toBe(0);
    expect(out).toMatch(/^ {2}boxes +value\n {2}AP +0\.\d{3}\n {2}AP50 +0\.\d{3}/);
    expect(out).toMatch(/size +AP +AR +objects\n {2}all/);
    expect(out).toMatch(/class +AP +AP50 .*\n {2}cat +0\.\d{3}/);
    expect(out).toMatch(/VOC +AP +AP \(11 points\)/);
    expect(out).toMatch(/classification +1 /);
    expect(out).toMatch(
      /true class \(score 0\.3, IoU 0\.5\) +cat +dog +background\n {2}cat +2 +0 +0\n {2}dog +1 +0 +0/,
    );
    expect(out).toMatch(/2 images, 3 objects, 3 detections; read in/);
    expect(out).toMatch(/left out: 1 result of classes that the annotations do not know/);
  });

  test("one class, few detections, classes as one", async () => {
    const one = JSON.parse((await evaluate(...files, "--json", "--classes", "dog")).out);
    expect(one.classes).toHaveLength(1);
    expect(one.stats[0]).toBe(0);
    const few = JSON.parse((await evaluate(...files, "--json", "--max-dets", "1,2")).out);
    // pycocotools' first figure is of 100 detections.
    expect(few.stats[0]).toBe(-1);
    expect(few.ap).toBeGreaterThan(0);
    expect((await evaluate(...files, "--max-dets", "1,2")).out).toMatch(/AR at 2 /);
    const pooled = JSON.parse((await evaluate(...files, "--json", "--no-cats")).out);
    expect(pooled.classes).toEqual([]);
    expect(pooled.stats[1]).toBeCloseTo(1, 12);
  });

  test("writes figures, curves and the confusion matrix", async () => {
    const out = join(folder, "made", "figures");
    expect((await evaluate(...files, "--out", out, "--score", "0.55")).code).toBe(0);
    const read = (name: string) => JSON.parse(readFileSync(join(out, name), "utf8"));
    expect(read("metrics.json").stats).toHaveLength(12);
    expect(read("confusion.json").matrix).toEqual([
      [1, 0, 1],
      [1, 0, 0],
      [0, 0, 0],
    ]);
    const curves = read("curves.json");
    expect(curves).toHaveLength(20);
    expect(curves[0]).toMatchObject({ name: "cat", iou: 0.5 });
    expect(curves[0].precision).toHaveLength(101);
  });

  test("masks are measured where there are no boxes", async () => {
    const masks = {
      ...truth,
      annotations: truth.annotations.map((own) => ({
        ...own,
        segmentation: [[10, 10, 50, 10, 50, 50, 10, 50]],
      })),
    };
    const square = { size: [100, 100], counts: [1010, ...Array(39).fill([40, 60]).flat(), 40, 5050] };
    const found = [{ image_id: 1, category_id: 3, score: 0.9, segmentation: square }];
    const paths = ["--annotations", write("masks.json", masks), "--results", write("found.json", found)];
    const measured = JSON.parse((await evaluate(...paths, "--json")).out);
    expect(measured.type).toBe("segm");
    expect(measured.stats[8]).toBe(0.25);
    expect((await evaluate(...paths)).out).toMatch(/^ {2}masks +value/);
    expect(JSON.parse((await evaluate(...paths, "--json", "--type", "bbox")).out).type).toBe("bbox");
    expect((await evaluate(...paths, "--voc")).err).toMatch(/expected results with boxes, got masks alone/);
  });

  test("no results at all give 0", async () => {
    const { stats } = JSON.parse(
      (await evaluate("--annotations", write("t.json", truth), "--results", write("none.json", []), "--json"))
        .out,
    );
    expect(stats.slice(0, 3)).toEqual([0, 0, 0]);
  });

  const [first] = results;
  test.each([
    [
      [first, { ...first, image_id: 77 }],
      /r\.json: results\[1\]: image_id: expected one of the ground truth's 2 images, got 77/,
    ],
    [[first, { ...first, score: "1" }], /r\.json: results\[1\]: score: expected a finite number, got "1"/],
    [
      [{ ...first, bbox: [1, 2, -3, 4] }],
      /r\.json: results\[0\]: bbox: expected a width and height of 0 or more, got \[1,2,-3,4\]/,
    ],
    [
      '[{"image_id": 1, "category_id": 3, "bbox": [0, 0, 1, 1], "score": NaN}]',
      /r\.json: results\[0\]: score: .* got NaN/,
    ],
    ['[{"image_id": 1, "cat', /r\.json: results\[0\]: expected .*, got the end of the file at byte 21/],
    [{ results }, /r\.json: the file: expected a list, got "\{" at byte 0/],
  ])("refuses %j, with the file's name and no stack", async (broken, message) => {
    const { code, out, err } = await evaluate(
      "--annotations",
      files[1] as string,
      "--results",
      write("r.json", broken),
    );
    expect(code).toBe(1);
    expect(out).toBe("");
    expect(err).toMatch(message);
    expect(err).not.toContain("    at ");
  });

  test.each([
    [["--classes", "cow"], /--classes: expected some of cat, dog; got "cow"/],
    [["--max-dets", "1,x"], /--max-dets: expected positive integers as 1,10,100, got "1,x"/],
    [["--type", "box"], /--type: expected bbox or segm, got "box"/],
    [["--iou", "2"], /--iou: expected a number above 0, up to 1, got "2"/],
    [["--score", "high"], /--score: expected a number, got "high"/],
    [["--type", "segm"], /truth\.json: expected masks for --type segm, found boxes only/],
    [["--annotations", "none.json"], /none\.json: there is no such file/],
    [["--results", tmpdir()], /expected a JSON file, got a folder/],
  ])("refuses %j", async (args, message) => {
    const { code, err } = await evaluate(...files, ...args);
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(err).not.toContain("    at ");
  });

  test("asks for files or a run", async () => {
    expect((await evaluate()).err).toMatch(/expected --annotations and --results, or a run with --data/);
    expect((await evaluate("runs/x")).err).toMatch(/expected --data PATH, got none/);
  });
});

const visible = join(data, "cocoeval", "visible");
describe.skipIf(!existsSync(visible))(
  "sepc eval (needs the reference values in ../shared/data/cocoeval)",
  () => {
    test.each([
      ["coco_good", []],
      ["coco_segm_rle", []],
      ["bccd_poor", []],
      ["bccd_poor", ["--no-cats"]],
      ["bccd_poor", ["--max-dets", "1,5,100"]],
    ])("%s %j: the figures of pycocotools", async (name, args) => {
      const file = JSON.parse(readFileSync(join(visible, `${name}.json`), "utf8"));
      const label = args[0] === "--no-cats" ? "useCats=0" : args[0] === "--max-dets" ? "maxDets 1,5,100" : "";
      const wanted = file.evals.find((one: { label: string }) => one.label.startsWith(label));
      const { out } = await evaluate(
        "--annotations",
        join(data, file.gt),
        "--results",
        write(`${name}.json`, file.detections),
        "--type",
        wanted.iouType,
        "--json",
        ...args,
      );
      const { stats } = JSON.parse(out);
      for (const [i, value] of wanted.stats.entries()) expect(stats[i]).toBeCloseTo(value, 12);
    });
  },
);
