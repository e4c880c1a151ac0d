import type { RgbImage } from "@sepc/core";
import type { RandomStream } from "../random.js";
import { SHAPES } from "./shapes.js";

/** One object to draw, in pixels. */
export interface PlacedShape {
  readonly shape: string;
  readonly x: number;
  readonly y: number;
  /** Half its side before it is turned. */
  readonly radius: number;
  /** Radians. */
  readonly turn: number;
}

type Colour = readonly [number, number, number];

const colour = (random: RandomStream): Colour => [
  random.whole(20, 235),
  random.whole(20, 235),
  random.whole(20, 235),
];

/** A texture: one colour, waves of two, or one speckled with another; the share of the second at any place. */
function texture(random: RandomStream): { a: Colour; b: Colour; shareAt: (x: number, y: number) => number } {
  const [a, b] = [colour(random), colour(random)];
  const kind = random.whole(0, 2);
  const [fx, fy, phase] = [random.between(-0.3, 0.3), random.between(-0.3, 0.3), random.between(0, 6)];
  const noise = random.whole(0, 2 ** 30);
  const speckle = (x: number, y: number): number =>
    ((Math.imul((x | 0) * 7919 + (y | 0) * 104729 + noise, 0x9e3779b1) >>> 16) & 255) / 600;
  const wave = (x: number, y: number): number => 0.5 + 0.5 * Math.sin(fx * x + fy * y + phase);
  return { a, b, shareAt: kind === 1 ? wave : kind === 2 ? speckle : () => 0 };
}

/** Smooth light and dark of a background: waves of a few lengths. */
function background(width: number, height: number, random: RandomStream): Uint8Array {
  const base = colour(random);
  const waves = Array.from({ length: 4 }, () => ({
    fx: random.between(-0.06, 0.06),
    fy: random.between(-0.06, 0.06),
    phase: random.between(0, 6),
    by: [random.between(-18, 18), random.between(-18, 18), random.between(-18, 18)] as Colour,
  }));
  const out = new Uint8Array(width * height * 3);
  const grain = random.between(0, 24);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const speck = (random.next() - 0.5) * grain;
      let [red, green, blue] = [base[0] + speck, base[1] + speck, base[2] + speck];
      for (const { fx, fy, phase, by } of waves) {
        const waved = Math.sin(fx * x + fy * y + phase);
        red += waved * by[0];
        green += waved * by[1];
        blue += waved * by[2];
      }
      out[at] = Math.min(255, Math.max(0, red));
      out[at + 1] = Math.min(255, Math.max(0, green));
      out[at + 2] = Math.min(255, Math.max(0, blue));
    }
  }
  return out;
}

/** Pixels that a shape covers, as places in the picture; edges by the pixels' centres. */
function covered({ shape, x, y, radius, turn }: PlacedShape, width: number, height: number): number[] {
  const inside = SHAPES[shape] as (x: number, y: number) => boolean;
  const reach = radius * Math.SQRT2;
  const [cos, sin] = [Math.cos(turn) / radius, Math.sin(turn) / radius];
  const places: number[] = [];
  for (let row = Math.max(0, Math.floor(y - reach)); row < Math.min(height, y + reach); row++) {
    for (let column = Math.max(0, Math.floor(x - reach)); column < Math.min(width, x + reach); column++) {
      const [dx, dy] = [column + 0.5 - x, row + 0.5 - y];
      if (inside(dx * cos + dy * sin, dy * cos - dx * sin)) places.push(row * width + column);
    }
  }
  return places;
}

/** Lines and blobs that are no object of any class. */
function addClutter(
  data: Uint8Array,
  width: number,
  height: number,
  count: number,
  random: RandomStream,
): void {
  for (let n = 0; n < count; n++) {
    const paint = colour(random);
    const [x0, y0] = [random.between(0, width), random.between(0, height)];
    const [angle, length, thick] = [
      random.between(0, Math.PI),
      random.between(10, 60),
      random.between(0.6, 2.2),
    ];
    for (let t = 0; t < length; t += 0.5) {
      const bend = t * 0.02 * Math.sin(n);
      const [x, y] = [x0 + t * Math.cos(angle + bend), y0 + t * Math.sin(angle + bend)];
      for (let dy = -thick; dy <= thick; dy++)
        for (let dx = -thick; dx <= thick; dx++) {
          const [column, row] = [Math.floor(x + dx), Math.floor(y + dy)];
          if (column >= 0 && row >= 0 && column < width && row < height)
            data.set(paint, (row * width + column) * 3);
        }
    }
  }
}

/** What is left to see of an object. */
export interface Drawn {
  readonly placed: PlacedShape;
  /** [x1, y1, x2, y2] of the pixels that are seen */
  readonly box: readonly [number, number, number, number];
  /** Pixels seen, and in all. */
  readonly seen: number;
  readonly whole: number;
}

/** Draws objects over each other, the last on top. */
export function drawPicture(
  width: number,
  height: number,
  objects: readonly PlacedShape[],
  clutter: number,
  random: RandomStream,
): { image: RgbImage; drawn: Drawn[] } {
  const data = background(width, height, random);
  addClutter(data, width, height, clutter, random);
  const owner = new Int32Array(width * height).fill(-1);
  const all = objects.map((placed, i) => {
    const places = covered(placed, width, height);
    const { a, b, shareAt } = texture(random);
    for (const place of places) {
      owner[place] = i;
      const share = shareAt(place % width, Math.floor(place / width));
      data[3 * place] = a[0] * (1 - share) + b[0] * share;
      data[3 * place + 1] = a[1] * (1 - share) + b[1] * share;
      data[3 * place + 2] = a[2] * (1 - share) + b[2] * share;
    }
    return places;
  });
  const drawn = objects.map((placed, i): Drawn => {
    const seen = (all[i] as number[]).filter((place) => owner[place] === i);
    const box = [width, height, 0, 0] as [number, number, number, number];
    for (const place of seen) {
      const [x, y] = [place % width, Math.floor(place / width)];
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + 1);
      box[3] = Math.max(box[3], y + 1);
    }
    return { placed, box, seen: seen.length, whole: (all[i] as number[]).length };
  });
  return { image: { data, width, height }, drawn };
}
