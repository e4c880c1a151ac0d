import type { BoxConvention } from "./boxes.js";

/** Height and width in cells of a level's map. */
export type LevelSize = readonly [height: number, width: number];

/** Anchors of RetinaNet's kind: at each cell of a level one box for each ratio and scale. */
export interface AnchorPriors extends BoxConvention {
  readonly kind: "anchors";
  /** Pixels from one cell to the next, of each level. */
  readonly strides: readonly number[];
  /** Height over width. */
  readonly ratios: readonly number[];
  /** Side of an anchor of ratio 1, in strides. */
  readonly scales: readonly number[];
}

/** One point for each cell, at its centre. */
export interface PointPriors {
  readonly kind: "points";
  readonly strides: readonly number[];
  /** Where the point lies in its cell: 0 its corner, 0.5 its centre. */
  readonly offset: number;
}

export type PriorSpec = AnchorPriors | PointPriors;

/** Scales of RetinaNet: `perOctave` steps from `base` to twice `base`. */
export function octaveScales(base: number, perOctave: number): number[] {
  return Array.from({ length: perOctave }, (_, i) => base * 2 ** (i / perOctave));
}

/** Priors at one cell. */
export function priorsPerCell(spec: PriorSpec): number {
  return spec.kind === "points" ? 1 : spec.ratios.length * spec.scales.length;
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * Anchors of a level around the corner of its first cell, `[A, 4]`; ratio by ratio, in each scale by scale. In the
 * legacy convention around (stride - 1) / 2 and rounded.
 */
export function baseAnchors(spec: AnchorPriors, level: number): Float32Array {
  const stride = spec.strides[level] as number;
  const out = new Float32Array(spec.ratios.length * spec.scales.length * 4);
  let at = 0;
  for (const ratio of spec.ratios) {
    const root = Math.sqrt(ratio);
    for (const scale of spec.scales) {
      // Single precision at each step, as the reference: rounding then falls on the same side.
      const width = Math.fround(Math.fround(stride * Math.fround(1 / root)) * Math.fround(scale));
      const height = Math.fround(Math.fround(stride * Math.fround(root)) * Math.fround(scale));
      const centre = spec.legacyBoxes ? 0.5 * (stride - 1) : 0;
      const halves = [width, height].map((side) => 0.5 * (spec.legacyBoxes ? side - 1 : side)) as [
        number,
        number,
      ];
      const box = [centre - halves[0], centre - halves[1], centre + halves[0], centre + halves[1]];
      for (const value of box) out[at++] = spec.legacyBoxes ? roundHalfToEven(Math.fround(value)) : value;
    }
  }
  return out;
}

/** All anchors of a level, `[H * W * A, 4]`: row by row, in each cell anchor by anchor. */
export function anchorGrid(spec: AnchorPriors, level: number, [height, width]: LevelSize): Float32Array {
  const base = baseAnchors(spec, level);
  const stride = spec.strides[level] as number;
  const out = new Float32Array(height * width * base.length);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let i = 0; i < base.length; i++) out[at++] = (base[i] as number) + stride * (i % 2 === 0 ? x : y);
    }
  }
  return out;
}

/** All points of a level, `[H * W, 2]` as x, y; row by row. */
export function pointGrid(spec: PointPriors, level: number, [height, width]: LevelSize): Float32Array {
  const stride = spec.strides[level] as number;
  const out = new Float32Array(height * width * 2);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      out[at++] = (x + spec.offset) * stride;
      out[at++] = (y + spec.offset) * stride;
    }
  }
  return out;
}

/**
 * Whether a cell lies over the image and not over padding only, one flag for each prior of a level: cells up to
 * ceil(side / stride) count, of an image of `[height, width]` pixels, its own padding included.
 */
export function validPriors(
  perCell: number,
  stride: number,
  [height, width]: LevelSize,
  [imageHeight, imageWidth]: readonly [number, number],
): Uint8Array {
  const rows = Math.min(Math.ceil(imageHeight / stride), height);
  const columns = Math.min(Math.ceil(imageWidth / stride), width);
  const out = new Uint8Array(height * width * perCell);
  for (let y = 0; y < rows; y++) out.fill(1, y * width * perCell, (y * width + columns) * perCell);
  return out;
}

/** Sizes of the levels of an image of these pixels: each side divided by the stride, rounded up, less `cut` cells. */
export function levelSizes(
  strides: readonly number[],
  [height, width]: readonly [number, number],
  cut = 0,
): LevelSize[] {
  return strides.map((stride) => [Math.ceil(height / stride) - cut, Math.ceil(width / stride) - cut]);
}
