import type { RgbImage } from "@sepc/core";
import type { RandomStream } from "../random.js";

/** Turns hue (in sixths of a circle) and scales saturation of all pixels, in HSV, their values kept. */
export function shiftColours(data: Uint8ClampedArray, turn: number, saturation: number): void {
  for (let i = 0; i < data.length; i += 3) {
    const r = data[i] as number;
    const g = data[i + 1] as number;
    const b = data[i + 2] as number;
    const high = Math.max(r, g, b);
    const span = high - Math.min(r, g, b);
    if (span === 0) continue;
    // Place on the circle of hues: red 0 (from -1), green 2, blue 4.
    const place = high === r ? (g - b) / span : high === g ? (b - r) / span + 2 : (r - g) / span + 4;
    const turned = onCircle(place + turn);
    const wide = Math.min(span * saturation, high);
    data[i] = high - wide * shareBelow(turned + 5);
    data[i + 1] = high - wide * shareBelow(turned + 3);
    data[i + 2] = high - wide * shareBelow(turned + 1);
  }
}

/** The same place from 0 to 6: from -6 to 12 without a division, which is slow. */
function onCircle(place: number): number {
  if (place < 0) return place + 6;
  return place < 6 ? place : place - 6;
}

/** How far below the brightest channel one lies, 0-1, by its distance on the circle of hues. */
function shareBelow(distance: number): number {
  const k = onCircle(distance);
  return Math.max(0, Math.min(k, 4 - k, 1));
}

/**
 * Brightness (±32), contrast and saturation (0.5 to 1.5), hue (±18°), each in half of all pictures; contrast before or
 * after saturation and hue, as SSD (Liu et al. 2016, section 2.2 and its code).
 */
export function distort(image: RgbImage, random: RandomStream): RgbImage {
  const brightness = random.next() < 0.5 ? random.between(-32, 32) : 0;
  const isContrastFirst = random.next() < 0.5;
  const contrast = random.next() < 0.5 ? random.between(0.5, 1.5) : 1;
  const saturation = random.next() < 0.5 ? random.between(0.5, 1.5) : 1;
  const hue = random.next() < 0.5 ? random.between(-18, 18) : 0;
  const light = (value: number): number => (value + brightness) * (isContrastFirst ? contrast : 1);
  const before = Uint8ClampedArray.from({ length: 256 }, (_, value) => light(value));
  const data = new Uint8ClampedArray(image.data.length);
  for (let i = 0; i < data.length; i++) data[i] = before[image.data[i] as number] as number;
  if (saturation !== 1 || hue !== 0) shiftColours(data, hue / 60, saturation);
  if (!isContrastFirst && contrast !== 1) {
    const after = Uint8ClampedArray.from({ length: 256 }, (_, value) => value * contrast);
    for (let i = 0; i < data.length; i++) data[i] = after[data[i] as number] as number;
  }
  return { ...image, data: new Uint8Array(data.buffer) };
}
