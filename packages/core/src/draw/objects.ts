import type { Detection } from "../decode.js";
import { colourOf, inkOn } from "./colours.js";

/** The part of a canvas's context that drawing needs: the browser's and Node canvases have it. */
export interface Pen {
  lineWidth: number;
  strokeStyle: unknown;
  fillStyle: unknown;
  font: string;
  textBaseline: unknown;
  strokeRect(x: number, y: number, width: number, height: number): void;
  fillRect(x: number, y: number, width: number, height: number): void;
  fillText(text: string, x: number, y: number): void;
  measureText(text: string): { readonly width: number };
  setLineDash(segments: number[]): void;
}

export interface DrawOptions {
  readonly classes: readonly string[];
  /** Pixels of the picture that is drawn on: lines and letters grow with it. */
  readonly width: number;
  readonly height: number;
  readonly fontFamily?: string | undefined;
  /** false leaves the names and scores out. */
  readonly labels?: boolean | undefined;
  /** Draws dashed lines: ground truth beside detections. */
  readonly dashed?: boolean | undefined;
}

type Drawn = Pick<Detection, "box" | "label"> & { readonly score?: number | undefined };

/** Draws boxes with names and scores; the surest last, on top. */
export function drawObjects(pen: Pen, objects: readonly Drawn[], options: DrawOptions): void {
  const { classes, width, height, fontFamily = "sans-serif", labels = true, dashed = false } = options;
  const scale = Math.sqrt(width * height) / 640;
  const line = Math.min(8, Math.max(1.5, 2.5 * scale));
  const size = Math.min(48, Math.max(11, 15 * scale));
  pen.lineWidth = line;
  pen.font = `${size}px ${fontFamily}`;
  pen.textBaseline = "top";
  pen.setLineDash(dashed ? [3 * line, 2 * line] : []);
  const drawn = [...objects].sort((a, b) => (a.score ?? 0) - (b.score ?? 0));
  for (const { box, label } of drawn) {
    const [x1, y1, x2, y2] = box;
    pen.strokeStyle = colourOf(label);
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
  pen.setLineDash([]);
  if (!labels) return;
  // After all boxes: no line goes through a name.
  for (const { box, label, score } of drawn) {
    const [x1, y1] = box;
    const name = classes[label] ?? `class ${label}`;
    const text = score === undefined ? name : `${name} ${(100 * score).toFixed(0)}%`;
    const wide = pen.measureText(text).width + 0.5 * size;
    const tall = 1.25 * size;
    const x = Math.max(0, Math.min(x1 - line / 2, width - wide));
    // Above the box; where there is no room, inside it.
    const y = y1 >= tall ? y1 - tall : Math.max(0, Math.min(y1, height - tall));
    pen.fillStyle = colourOf(label);
    pen.fillRect(x, y, wide, tall);
    pen.fillStyle = inkOn(label);
    pen.fillText(text, x + 0.25 * size, y + 0.12 * size);
  }
}
