/** Whether a point of a shape's own square, from -1 to 1 both ways, lies in the shape. */
type Inside = (x: number, y: number) => boolean;

function polygon(points: readonly (readonly [number, number])[]): Inside {
  const xs = Float64Array.from(points, ([x]) => x);
  const ys = Float64Array.from(points, ([, y]) => y);
  return (x, y) => {
    let inside = false;
    for (let i = 0, j = xs.length - 1; i < xs.length; j = i++) {
      const yi = ys[i] as number;
      const yj = ys[j] as number;
      if (yi > y === yj > y) continue;
      const xi = xs[i] as number;
      if (x < (((xs[j] as number) - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
    return inside;
  };
}

const spokes = (count: number, radius: (i: number) => number): [number, number][] =>
  Array.from({ length: count }, (_, i) => {
    const angle = (2 * Math.PI * i) / count - Math.PI / 2;
    return [radius(i) * Math.cos(angle), radius(i) * Math.sin(angle)];
  });

/** The classes that a synthetic data set can have: told apart by shape alone, not by size or colour. */
export const SHAPES: Readonly<Record<string, Inside>> = {
  circle: (x, y) => x * x + y * y <= 1,
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= 1,
  triangle: polygon([
    [0, -1],
    [1, 1],
    [-1, 1],
  ]),
  star: polygon(spokes(10, (i) => (i % 2 === 0 ? 1 : 0.4))),
  ring: (x, y) => x * x + y * y <= 1 && x * x + y * y >= 0.3,
  cross: (x, y) => Math.min(Math.abs(x), Math.abs(y)) <= 0.33 && Math.max(Math.abs(x), Math.abs(y)) <= 1,
  crescent: (x, y) => x * x + y * y <= 1 && (x - 0.5) ** 2 + y * y > 0.65,
  hexagon: polygon(spokes(6, () => 1)),
};
