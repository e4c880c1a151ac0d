import { fromTypedArray, type Tensor } from "@sepc/engine";

export const SIZE = 32;
export const CLASSES = ["circle", "square", "triangle"] as const;

/** Numbers in [0, 1) from a seed (xorshift32). */
function stream(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Whether the point lies in the shape of half-size 1 around the origin. */
function inside(shape: number, x: number, y: number): boolean {
  if (shape === 0) return x * x + y * y < 1;
  if (shape === 1) return Math.abs(x) < 0.85 && Math.abs(y) < 0.85;
  return y < 0.8 && y > 2 * Math.abs(x) - 1;
}

/** Pictures [count, 1, 32, 32] of one turned, noisy shape each, and their classes [count]. */
export function makePictures(count: number, seed: number): { images: Tensor; labels: Tensor } {
  const random = stream(seed);
  const pixels = new Float32Array(count * SIZE * SIZE);
  const labels = new BigInt64Array(count);
  for (let n = 0; n < count; n++) {
    const shape = Math.floor(random() * CLASSES.length);
    labels[n] = BigInt(shape);
    const half = 5 + 8 * random();
    const [cx, cy] = [half + random() * (SIZE - 2 * half), half + random() * (SIZE - 2 * half)];
    const angle = (random() - 0.5) * 0.8;
    const [cos, sin] = [Math.cos(angle) / half, Math.sin(angle) / half];
    const [shade, ground] = [0.4 + 0.6 * random(), 0.3 * random()];
    for (let i = 0; i < SIZE * SIZE; i++) {
      const [x, y] = [(i % SIZE) + 0.5 - cx, Math.floor(i / SIZE) + 0.5 - cy];
      const value = inside(shape, x * cos + y * sin, y * cos - x * sin) ? shade : ground;
      pixels[n * SIZE * SIZE + i] = value + 0.3 * (random() - 0.5);
    }
  }
  return { images: fromTypedArray(pixels, [count, 1, SIZE, SIZE]), labels: fromTypedArray(labels, [count]) };
}
