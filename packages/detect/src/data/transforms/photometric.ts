import type { RgbImage } from "../decode.js";
import type { RandomStream } from "../random.js";

/** Shifts hue and scales saturation of one pixel; parts 0-255. */
function shiftColour(data: Uint8ClampedArray, at: number, hue: number, saturation: number): void {
  const [r, g, b] = [data[at] as number, data[at + 1] as number, data[at + 2] as number];
  const high = Math.max(r, g, b);
  const span = high - Math.min(r, g, b);
  if (span === 0) return;
  const sector = high === r ? ((g - b) / span + 6) % 6 : high === g ? (b - r) / span + 2 : (r - g) / span + 4;
  const turned = (sector + hue / 60 + 6) % 6;
  const wide = Math.min(span * saturation, high);
  for (let c = 0; c < 3; c++) {
    const k = (5 - 2 * c + turned + 6) % 6; // 5, 3, 1 for red, green, blue
    data[at + c] = high - wide * Math.max(0, Math.min(k, 4 - k, 1));
  }
}

/** Brightness, contrast, saturation and hue, each by chance, as SSD (Liu et al. 2016). */
export function distort(image: RgbImage, random: RandomStream): RgbImage {
  const data = Uint8ClampedArray.from(image.data);
  const brightness = random.next() < 0.5 ? random.between(-32, 32) : 0;
  const contrast = random.next() < 0.5 ? random.between(0.5, 1.5) : 1;
  const saturation = random.next() < 0.5 ? random.between(0.5, 1.5) : 1;
  const hue = random.next() < 0.5 ? random.between(-18, 18) : 0;
  const recolour = saturation !== 1 || hue !== 0;
  for (let i = 0; i < data.length; i += 3) {
    for (let c = 0; c < 3; c++) data[i + c] = ((data[i + c] as number) + brightness) * contrast;
    if (recolour) shiftColour(data, i, hue, saturation);
  }
  return { ...image, data: new Uint8Array(data.buffer) };
}
