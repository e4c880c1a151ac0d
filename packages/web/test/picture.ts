import type { RgbImage } from "@sepc/core";

/** Coloured boxes on a gradient, from a seed. */
export function drawnPicture(width: number, height: number, seed = 1): RgbImage {
  let state = seed;
  const random = (most: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % most;
  };
  const data = new Uint8Array(width * height * 3);
  const paint = (x: number, y: number, colour: readonly number[]): void =>
    data.set(colour, 3 * (y * width + x));
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) paint(x, y, [(255 * x) / width, (255 * y) / height, 128]);
  for (let i = 0; i < 6; i++) {
    const [left, top] = [random(width), random(height)];
    const [right, bottom] = [left + 10 + random(width >> 1), top + 10 + random(height >> 1)];
    const colour = [random(256), random(256), random(256)];
    for (let y = top; y < Math.min(bottom, height); y++)
      for (let x = left; x < Math.min(right, width); x++) paint(x, y, colour);
  }
  return { data, width, height };
}

/** A picture as BMP: without loss, and simple. */
export function encodeBmp({ data, width, height }: RgbImage): Buffer {
  const header = 54;
  const row = Math.ceil((3 * width) / 4) * 4;
  const file = Buffer.alloc(header + row * height);
  file.write("BM");
  file.writeUInt32LE(file.length, 2);
  file.writeUInt32LE(header, 10);
  file.writeUInt32LE(40, 14);
  file.writeInt32LE(width, 18);
  // A negative height: rows from the top.
  file.writeInt32LE(-height, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(24, 28);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [red, green, blue] = data.subarray(3 * (y * width + x)) as unknown as [number, number, number];
      file.set([blue, green, red], header + y * row + 3 * x);
    }
  return file;
}
