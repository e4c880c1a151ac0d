import { describe, expect, test } from "vitest";
import { colourOf, drawObjects, inkOn, type Pen } from "../src/draw/index.js";

interface Stroke {
  readonly kind: "box" | "plate" | "text";
  readonly at: readonly [x: number, y: number];
  readonly size: readonly [width: number, height: number];
  readonly colour: unknown;
  readonly text?: string;
  readonly dashed: boolean;
  readonly font: string;
}

/** A pen that writes down what it draws; a letter is half as wide as it is high. */
function recorder(): Pen & { readonly strokes: Stroke[] } {
  const strokes: Stroke[] = [];
  let dash: readonly number[] = [];
  const pen = {
    strokes,
    lineWidth: 1,
    strokeStyle: "" as unknown,
    fillStyle: "" as unknown,
    font: "",
    textBaseline: "" as unknown,
    strokeRect: (x: number, y: number, w: number, h: number) => note("box", [x, y], [w, h], pen.strokeStyle),
    fillRect: (x: number, y: number, w: number, h: number) => note("plate", [x, y], [w, h], pen.fillStyle),
    fillText: (text: string, x: number, y: number) => note("text", [x, y], [0, 0], pen.fillStyle, text),
    measureText: (text: string) => ({ width: text.length * 0.5 * Number.parseFloat(pen.font) }),
    setLineDash: (segments: number[]) => {
      dash = segments;
    },
  };
  function note(
    kind: Stroke["kind"],
    at: Stroke["at"],
    size: Stroke["size"],
    colour: unknown,
    text?: string,
  ): void {
    strokes.push({ kind, at, size, colour, dashed: dash.length > 0, font: pen.font, ...(text && { text }) });
  }
  return pen;
}

const classes = ["cat", "dog"];
const found = [
  { box: [10, 40, 60, 90] as const, label: 0, score: 0.9 },
  { box: [20, 50, 70, 95] as const, label: 1, score: 0.4 },
];

describe("drawing objects", () => {
  test("the surest is drawn last, and no line over a name", () => {
    const pen = recorder();
    drawObjects(pen, found as never, { classes, width: 100, height: 100 });
    expect(pen.strokes.map(({ kind, text }) => text ?? kind)).toEqual([
      "box",
      "box",
      "plate",
      "dog 40%",
      "plate",
      "cat 90%",
    ]);
    expect(pen.strokes.slice(0, 2).map(({ colour }) => colour)).toEqual([colourOf(1), colourOf(0)]);
  });

  test("names stay inside the picture, wherever their boxes are", () => {
    for (const [x1, y1] of [
      [0, 0],
      [-5, -5],
      [180, 2],
      [195, 95],
    ] as const) {
      const pen = recorder();
      drawObjects(pen, [{ box: [x1, y1, x1 + 10, y1 + 10], label: 0, score: 0.5 }], {
        classes,
        width: 200,
        height: 100,
      });
      const plate = pen.strokes.find(({ kind }) => kind === "plate") as Stroke;
      expect(plate.at[0]).toBeGreaterThanOrEqual(0);
      expect(plate.at[0] + plate.size[0]).toBeLessThanOrEqual(200);
      expect(plate.at[1]).toBeGreaterThanOrEqual(0);
      expect(plate.at[1] + plate.size[1]).toBeLessThanOrEqual(100);
    }
  });

  test("letters grow with the picture and stay readable on small ones", () => {
    const sizeOn = (side: number): number => {
      const pen = recorder();
      drawObjects(pen, found as never, { classes, width: side, height: side });
      return Number.parseFloat((pen.strokes.at(-1) as Stroke).font);
    };
    expect(sizeOn(32)).toBeGreaterThanOrEqual(11);
    expect(sizeOn(2000)).toBeGreaterThan(sizeOn(640));
  });

  test("ground truth is dashed, without names; the pen is left undashed", () => {
    const pen = recorder();
    drawObjects(pen, found as never, { classes, width: 100, height: 100, dashed: true, labels: false });
    expect(pen.strokes.map(({ kind, dashed }) => [kind, dashed])).toEqual([
      ["box", true],
      ["box", true],
    ]);
    pen.strokeRect(0, 0, 1, 1);
    expect(pen.strokes.at(-1)?.dashed).toBe(false);
  });
});

test("a name can be read on the colour of any class", () => {
  const luminance = (hsl: string): number => {
    const [h = 0, s = 0, l = 0] = [...hsl.matchAll(/[\d.]+/g)].map(([n]) => Number(n));
    const spread = (s / 100) * Math.min(l / 100, 1 - l / 100);
    const channel = (n: number): number => {
      const k = (n + h / 30) % 12;
      const value = l / 100 - spread * Math.max(-1, Math.min(k - 3, 9 - k, 1));
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * channel(0) + 0.7152 * channel(8) + 0.0722 * channel(4);
  };
  for (let label = 0; label < 80; label++) {
    const own = luminance(colourOf(label)) + 0.05;
    const contrast = inkOn(label) === "black" ? own / 0.05 : 1.05 / own;
    expect(contrast).toBeGreaterThan(4.5);
  }
});
