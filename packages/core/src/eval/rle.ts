import type { Segmentation } from "./types.js";

/** A mask as run lengths by columns: background first, background and mask in turn. */
export interface Rle {
  readonly height: number;
  readonly width: number;
  readonly counts: Int32Array;
}

/** COCO's text of run lengths: 5 bits a character from "0", each count after the third as its change over two. */
export function decodeCounts(text: string): Int32Array {
  const counts: number[] = [];
  for (let at = 0; at < text.length; ) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more) {
      const code = text.charCodeAt(at++) - 48;
      if (Number.isNaN(code) || code < 0 || code > 63)
        throw new RangeError("counts: not COCO's run-length text");
      value |= (code & 31) << shift;
      more = (code & 32) !== 0;
      shift += 5;
      if (!more && (code & 16) !== 0) value |= -1 << shift;
    }
    counts.push(counts.length > 2 ? value + (counts[counts.length - 2] as number) : value);
  }
  return Int32Array.from(counts);
}

export function areaOf({ counts }: Rle): number {
  let area = 0;
  for (let i = 1; i < counts.length; i += 2) area += counts[i] as number;
  return area;
}

/** Smallest box around a mask, [x, y, width, height] in whole pixels; zeros for an empty one. */
export function boundsOf({ counts, height }: Rle): [number, number, number, number] {
  let [left, top, right, bottom] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, -1, -1];
  let start = counts[0] ?? 0;
  for (let i = 1; i < counts.length; i += 2) {
    const length = counts[i] as number;
    const last = start + length - 1;
    const [x0, x1] = [Math.floor(start / height), Math.floor(last / height)];
    if (length > 0) {
      left = Math.min(left, x0);
      right = Math.max(right, x1);
      // A run over several columns reaches from the top of one to the bottom of another.
      top = x1 > x0 ? 0 : Math.min(top, start % height);
      bottom = x1 > x0 ? height - 1 : Math.max(bottom, last % height);
    }
    start = last + 1 + (counts[i + 1] ?? 0);
  }
  return right < 0 ? [0, 0, 0, 0] : [left, top, right - left + 1, bottom - top + 1];
}

/** COCO's text of run lengths, the way back of {@link decodeCounts}. */
export function encodeCounts(counts: ArrayLike<number>): string {
  let text = "";
  for (let i = 0; i < counts.length; i++) {
    let value = (counts[i] as number) - (i > 2 ? (counts[i - 2] as number) : 0);
    let more = true;
    while (more) {
      let code = value & 31;
      value >>= 5;
      more = (code & 16) !== 0 ? value !== -1 : value !== 0;
      if (more) code |= 32;
      text += String.fromCharCode(code + 48);
    }
  }
  return text;
}

/** Pixels that both have; the masks are of one size. */
export function sharedPixels(a: Rle, b: Rle): number {
  const [p, q] = [a.counts, b.counts];
  let [i, j] = [0, 0];
  let [left, right] = [p[0] ?? 0, q[0] ?? 0];
  let shared = 0;
  while (i < p.length && j < q.length) {
    const step = Math.min(left, right);
    if (i % 2 === 1 && j % 2 === 1) shared += step;
    left -= step;
    right -= step;
    if (left === 0) left = p[++i] ?? 0;
    if (right === 0) right = q[++j] ?? 0;
  }
  return shared;
}

/** Pixels of any of the masks. */
export function merge(masks: readonly Rle[]): Rle {
  const [first, ...others] = masks as [Rle, ...Rle[]];
  return others.reduce((a, b) => union(a, b), first);
}

function union(a: Rle, b: Rle): Rle {
  const [p, q] = [a.counts, b.counts];
  const counts: number[] = [];
  let [i, j] = [0, 0];
  let [left, right] = [p[0] ?? 0, q[0] ?? 0];
  let inside = false;
  let run = 0;
  while (i < p.length || j < q.length) {
    const step = i >= p.length ? right : j >= q.length ? left : Math.min(left, right);
    const here = (i < p.length && i % 2 === 1) || (j < q.length && j % 2 === 1);
    if (here !== inside) {
      counts.push(run);
      run = 0;
      inside = here;
    }
    run += step;
    left -= step;
    right -= step;
    if (i < p.length && left === 0) left = p[++i] ?? 0;
    if (j < q.length && right === 0) right = q[++j] ?? 0;
  }
  counts.push(run);
  return { height: a.height, width: a.width, counts: Int32Array.from(counts) };
}

/** Points along a polygon's sides, five times finer than pixels. */
function outline(xs: Int32Array, ys: Int32Array): { u: number[]; v: number[] } {
  const u: number[] = [];
  const v: number[] = [];
  for (let j = 0; j + 1 < xs.length; j++) {
    let [x0, x1, y0, y1] = [xs[j], xs[j + 1], ys[j], ys[j + 1]] as [number, number, number, number];
    const [dx, dy] = [Math.abs(x1 - x0), Math.abs(y0 - y1)];
    const flip = (dx >= dy && x0 > x1) || (dx < dy && y0 > y1);
    if (flip) [x0, x1, y0, y1] = [x1, x0, y1, y0];
    const slope = dx >= dy ? (y1 - y0) / dx : (x1 - x0) / dy;
    const length = Math.max(dx, dy);
    for (let d = 0; d <= length; d++) {
      const t = flip ? length - d : d;
      if (dx >= dy) {
        u.push(t + x0);
        v.push(Math.trunc(y0 + slope * t + 0.5));
      } else {
        v.push(t + y0);
        u.push(Math.trunc(x0 + slope * t + 0.5));
      }
    }
  }
  return { u, v };
}

/** Rasterises one polygon, x and y in turn, exactly as COCO's own code does. */
export function fromPolygon(points: readonly number[], height: number, width: number): Rle {
  const scale = 5;
  const count = points.length >> 1;
  const at = (i: number): number => Math.trunc(scale * (points[i] as number) + 0.5);
  const xs = Int32Array.from({ length: count + 1 }, (_, j) => at(2 * (j % count)));
  const ys = Int32Array.from({ length: count + 1 }, (_, j) => at(2 * (j % count) + 1));
  const { u, v } = outline(xs, ys);
  const crossings: number[] = [];
  for (let j = 1; j < u.length; j++) {
    if (u[j] === u[j - 1]) continue;
    let xd = Math.min(u[j] as number, u[j - 1] as number);
    if (u[j] === xd) xd = u[j] as number;
    else xd = (u[j] as number) - 1;
    const column = (xd + 0.5) / scale - 0.5;
    if (Math.floor(column) !== column || column < 0 || column > width - 1) continue;
    let row = Math.min(v[j] as number, v[j - 1] as number);
    row = (row + 0.5) / scale - 0.5;
    row = Math.ceil(Math.min(Math.max(row, 0), height));
    crossings.push(column * height + row);
  }
  crossings.push(height * width);
  crossings.sort((a, b) => a - b);
  const runs = crossings.map((place, i) => place - (crossings[i - 1] ?? 0));
  const counts: number[] = [runs[0] ?? 0];
  for (let j = 1; j < runs.length; ) {
    if ((runs[j] as number) > 0) counts.push(runs[j++] as number);
    else {
      j++;
      if (j < runs.length) counts[counts.length - 1] = (counts.at(-1) as number) + (runs[j++] as number);
    }
  }
  return { height, width, counts: Int32Array.from(counts) };
}

const polygonOfBox = ([x, y, w, h]: readonly number[]): number[] => {
  const [left, top] = [x as number, y as number];
  const [right, bottom] = [left + (w as number), top + (h as number)];
  return [left, top, left, bottom, right, bottom, right, top];
};

/**
 * A segmentation of an image of this size as run lengths. Lists of four numbers are boxes x, y, width, height, where
 * the first is one, as in pycocotools.
 * @throws RangeError when run lengths are not those of their size
 */
export function toRle(segmentation: Segmentation, height: number, width: number): Rle {
  if (!("counts" in segmentation)) {
    const boxes = segmentation[0]?.length === 4;
    return merge(segmentation.map((list) => fromPolygon(boxes ? polygonOfBox(list) : list, height, width)));
  }
  const [rows, columns] = segmentation.size;
  const { counts: given } = segmentation;
  const counts = typeof given === "string" ? decodeCounts(given) : Int32Array.from(given);
  let pixels = 0;
  for (const count of counts) {
    if (count < 0) throw new RangeError(`counts: expected run lengths of 0 or more, got ${count}`);
    pixels += count;
  }
  if (pixels !== rows * columns)
    throw new RangeError(
      `counts: expected ${rows} x ${columns} = ${rows * columns} pixels in all, got ${pixels}`,
    );
  return { height: rows, width: columns, counts };
}
