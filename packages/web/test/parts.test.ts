// The page's arithmetic, without a page.
import type { OffsetView } from "@sepc/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kindOf } from "../src/page/files.js";
import { heatColour, heatPixels } from "../src/page/heatColours.js";
import { kernelGroups } from "../src/page/kernels.js";
import { resultsJson } from "../src/page/save.js";
import { median } from "../src/page/times.js";
import { around, fitted, toPicture, toStage, zoomed } from "../src/page/viewport.js";
import { readPlacement, withLog } from "../src/worker/placement.js";

const sides = fc.record({
  width: fc.integer({ min: 1, max: 5000 }),
  height: fc.integer({ min: 1, max: 5000 }),
});
const stage = { width: 800, height: 600 };

describe("zoom", () => {
  test("the whole picture is on the stage, in its middle", () => {
    fc.assert(
      fc.property(sides, (picture) => {
        const { scale, x, y } = fitted(picture, stage);
        expect(x).toBeGreaterThanOrEqual(-1e-9);
        expect(y).toBeGreaterThanOrEqual(-1e-9);
        expect(2 * x + picture.width * scale).toBeCloseTo(stage.width, 6);
        expect(2 * y + picture.height * scale).toBeCloseTo(stage.height, 6);
      }),
    );
  });

  test("the point under the pointer stays, as long as the picture covers the stage", () => {
    const picture = { width: 1600, height: 1200 };
    const at = { x: 300, y: 200 };
    const first = zoomed(fitted(picture, stage), 3, at, picture, stage);
    const before = toPicture(first, at);
    const after = toPicture(zoomed(first, 1.7, at, picture, stage), at);
    expect(after.x).toBeCloseTo(before.x, 6);
    expect(after.y).toBeCloseTo(before.y, 6);
  });

  test("never further out than the whole picture", () => {
    const picture = { width: 1600, height: 1200 };
    expect(zoomed(fitted(picture, stage), 0.1, { x: 0, y: 0 }, picture, stage)).toEqual(
      fitted(picture, stage),
    );
  });

  test("an object comes to the middle", () => {
    const picture = { width: 1600, height: 1200 };
    const view = around([700, 500, 800, 560], picture, stage);
    expect(toStage(view, { x: 750, y: 530 })).toEqual({ x: 400, y: 300 });
  });
});

describe("deformable kernels as a reader looks for them", () => {
  const view = (kernel: string, stride: number, readStride: number, output: string): OffsetView => ({
    output,
    level: `p${Math.log2(stride)}`,
    stride,
    kernel,
    kernelSize: 3,
    readStride,
  });

  test("a pyramid convolution gives a level from three, each read by a kernel of its own", () => {
    const groups = kernelGroups([
      view("tower.pconvs.0.kernels.0", 32, 32, "from above"),
      view("tower.pconvs.0.kernels.1", 16, 16, "from itself"),
      view("tower.pconvs.0.kernels.2", 16, 8, "from below"),
      view("tower.pconvs.0.kernels.1", 32, 32, "next level"),
      view("tower.clsConv.conv", 16, 16, "class"),
    ]);
    expect(groups.map(({ name }) => name)).toEqual([
      "pyramid convolution 1",
      "last convolution of the class branch",
    ]);
    expect(groups[0]?.levels).toEqual([
      {
        level: "p4",
        parts: [
          { output: "from below", reads: "reads p3" },
          { output: "from itself", reads: "reads p4" },
          { output: "from above", reads: "reads p5" },
        ],
      },
      { level: "p5", parts: [{ output: "next level", reads: "reads p5" }] },
    ]);
  });

  test("a kernel of an unknown name keeps it", () => {
    expect(kernelGroups([view("neck.odd", 8, 8, "o")])[0]?.name).toBe("neck.odd");
  });
});

test("where operators run, from the runtime's log", () => {
  const head = "2026-01-01 [V:onnxruntime:, session_state.cc:1303 VerifyEachNodeIsAssignedToAnEp]";
  const lines = [
    `${head}  Node(s) placed on [CPUExecutionProvider]. Number of nodes: 2`,
    `${head}   DeformConv (one)`,
    `${head}   Add (/head/two)`,
    `${head}  Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 1`,
    `${head}   Conv (three)`,
    "something else",
  ];
  expect(readPlacement(lines)).toEqual([
    { place: "wasm", nodes: 2, operators: { DeformConv: 1, Add: 1 } },
    { place: "WebGPU", nodes: 1, operators: { Conv: 1 } },
  ]);
  expect(readPlacement([`${head}  All nodes placed on [CPUExecutionProvider]. Number of nodes: 7`])).toEqual([
    { place: "wasm", nodes: 7, operators: {} },
  ]);
});

test("what is written to the console is caught, and only meanwhile", async () => {
  const before = console.log;
  const { result, lines } = await withLog(async () => {
    console.log("a\nb");
    return 3;
  });
  expect(result).toBe(3);
  expect(lines).toEqual(["a", "b"]);
  await expect(withLog(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(console.log).toBe(before);
});

test("files are known by their names, else by their types", () => {
  expect(kindOf({ name: "a.ONNX", type: "" })).toBe("model");
  expect(kindOf({ name: "a.jpeg", type: "" })).toBe("picture");
  expect(kindOf({ name: "photo", type: "image/webp" })).toBe("picture");
  expect(kindOf({ name: "film.mov", type: "" })).toBe("video");
  expect(kindOf({ name: "a.txt", type: "text/plain" })).toBe(null);
  expect(kindOf({ name: "drawing.svg", type: "image/svg+xml" })).toBe(null);
});

test("a map's least value is dark, its largest bright; one of a single value is drawn too", () => {
  expect(heatColour(0)).toEqual([68, 1, 84]);
  expect(heatColour(1)).toEqual([253, 231, 37]);
  const map = { values: Float32Array.of(2, 4), width: 2, height: 1, least: 2, most: 4 };
  expect([...heatPixels(map)]).toEqual([68, 1, 84, 255, 253, 231, 37, 255]);
  const flat = { values: Float32Array.of(5), width: 1, height: 1, least: 5, most: 5 };
  expect([...heatPixels(flat)]).toEqual([68, 1, 84, 255]);
});

test("the median of stages", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBe(0);
});

test("results are JSON with boxes in pixels of each picture", () => {
  const objects = [{ box: [1.23456, 2, 3, 4] as const, label: 0, score: 0.98765, name: "cat" }];
  expect(JSON.parse(resultsJson([{ file: "a.jpg", width: 10, height: 5, objects }]))).toEqual([
    {
      file: "a.jpg",
      width: 10,
      height: 5,
      objects: [{ name: "cat", label: 0, score: 0.9877, box: [1.23, 2, 3, 4] }],
    },
  ]);
});
