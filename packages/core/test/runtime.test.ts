import { describe, expect, test } from "vitest";
import { inkOn } from "../src/draw/index.js";
import {
  cellAt,
  heatMap,
  mapExtent,
  type OrtModule,
  openSession,
  samplingPoints,
  type TensorData,
} from "../src/runtime/index.js";
import { ModelError, type OffsetView } from "../src/spec.js";

const tensor = (values: readonly number[], dims: readonly number[]): TensorData => ({
  type: "float32",
  data: Float32Array.from(values),
  dims,
});

describe("heat maps", () => {
  const map = tensor([1, -2, 3, -4, 10, 20, 30, -40], [1, 2, 2, 2]);

  test("mean strength of all channels, or one channel as it is", () => {
    expect(heatMap(map)).toEqual({
      values: Float32Array.of(5.5, 11, 16.5, 22),
      width: 2,
      height: 2,
      least: 5.5,
      most: 22,
    });
    expect([...heatMap(map, 1).values]).toEqual([10, 20, 30, -40]);
    expect(heatMap(map, 1).least).toBe(-40);
  });

  test("only the first picture of a batch counts", () => {
    expect([...heatMap(tensor([1, 2, 7, 8], [2, 1, 1, 2])).values]).toEqual([1, 2]);
  });

  test("a channel that is not there is named", () => {
    expect(() => heatMap(map, 2)).toThrow("expected a channel from 0 to 1, got 2");
    expect(() => heatMap(map, 0.5)).toThrow(RangeError);
  });
});

describe("sampling points", () => {
  const view = (stride: number, readStride: number): OffsetView => ({
    output: "offset_0",
    level: "p3",
    stride,
    kernel: "k",
    kernelSize: 3,
    readStride,
  });
  const zeros = (height: number, width: number): TensorData =>
    tensor(new Array<number>(18 * height * width).fill(0), [1, 18, height, width]);

  test("without offsets: the nine cells around the cell, at their centres", () => {
    const taps = samplingPoints(view(8, 8), zeros(4, 6), { row: 1, column: 2 }, [32, 48]);
    expect(taps.map(({ moved }) => [moved.x, moved.y])).toEqual(
      [4, 12, 20].flatMap((y) => [12, 20, 28].map((x) => [x, y])),
    );
    expect(taps[4]?.regular).toEqual({ x: 20, y: 12 });
  });

  test("a kernel with a stride reads around twice the place in the finer map", () => {
    const taps = samplingPoints(view(16, 8), zeros(2, 3), { row: 1, column: 1 }, [32, 48]);
    expect(taps[4]?.moved).toEqual({ x: 20, y: 20 });
    expect(taps[0]?.moved).toEqual({ x: 12, y: 12 });
  });

  test("offsets are y, then x, of each tap, in cells of the map that is read", () => {
    const offsets = zeros(2, 2);
    const at = (plane: number): number => plane * 4 + 3;
    offsets.data[at(2)] = 0.5; // y of tap 1
    offsets.data[at(3)] = -1; // x of tap 1
    const taps = samplingPoints(view(8, 8), offsets, { row: 1, column: 1 }, [16, 16]);
    expect(taps[1]?.regular).toEqual({ x: 12, y: 4 });
    expect(taps[1]?.moved).toEqual({ x: 4, y: 8 });
    expect(taps[2]?.moved).toEqual(taps[2]?.regular);
  });

  test("a map that lost its border lies one cell inside", () => {
    const taps = samplingPoints(view(8, 8), zeros(2, 4), { row: 0, column: 0 }, [32, 48]);
    expect(taps[4]?.moved).toEqual({ x: 12, y: 12 });
    expect(mapExtent(view(8, 8), { width: 4, height: 2 }, [32, 48])).toEqual({
      x: 8,
      y: 8,
      width: 32,
      height: 16,
    });
  });

  test("the cell over a point, the nearest for a point outside", () => {
    const map = { dims: [1, 18, 4, 6] };
    expect(cellAt(view(8, 8), map, { x: 17, y: 9 }, [32, 48])).toEqual({ row: 1, column: 2 });
    expect(cellAt(view(8, 8), map, { x: -3, y: 99 }, [32, 48])).toEqual({ row: 3, column: 0 });
  });

  test("a cell outside the map is refused", () => {
    expect(() => samplingPoints(view(8, 8), zeros(2, 2), { row: 2, column: 0 }, [16, 16])).toThrow(
      "expected a cell inside 2×2, got row 2, column 0",
    );
  });
});

describe("sessions in the caller's onnxruntime", () => {
  class Tensor {
    constructor(
      readonly type: "float32",
      readonly data: Float32Array,
      readonly dims: readonly number[],
    ) {}
  }
  const asked: { feeds: string[]; fetches: readonly string[] }[] = [];
  const ort: OrtModule = {
    Tensor,
    InferenceSession: {
      create: async (model) => {
        if (model.length === 0) throw new Error("no graph");
        return {
          outputNames: ["scores", "map"],
          run: async (feeds, fetches) => {
            asked.push({ feeds: Object.keys(feeds), fetches });
            return Object.fromEntries(
              fetches.map((name) => [name, new Tensor("float32", Float32Array.of(1), [1])]),
            );
          },
          release: async () => undefined,
        };
      },
    },
  };

  test("gives all outputs, or those that are wanted", async () => {
    const session = await openSession(ort, Uint8Array.of(1));
    const images = tensor([0], [1, 1, 1, 1]);
    expect(Object.keys(await session.run(images))).toEqual(["scores", "map"]);
    expect(Object.keys(await session.run(images, ["scores"]))).toEqual(["scores"]);
    expect(asked).toEqual([
      { feeds: ["images"], fetches: ["scores", "map"] },
      { feeds: ["images"], fetches: ["scores"] },
    ]);
    await session.close();
  });

  test("what it cannot load is told with the file's name", async () => {
    const opening = openSession(ort, new Uint8Array(), { file: "cells.onnx" });
    await expect(opening).rejects.toThrow(ModelError);
    await expect(opening).rejects.toThrow("cells.onnx: onnxruntime cannot load it: no graph");
  });
});

test("names on boxes are read on any class's colour", () => {
  const inks = Array.from({ length: 80 }, (_, label) => inkOn(label));
  expect(new Set(inks)).toEqual(new Set(["black", "white"]));
});
