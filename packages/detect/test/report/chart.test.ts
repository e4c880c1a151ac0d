import { expect, test } from "vitest";
import { type ChartOptions, chart, type Series } from "../../src/report/chart.js";

const options: ChartOptions = { title: "Loss", xLabel: "step", yLabel: "loss" };
const series = (points: readonly (readonly [number, number])[], name = "total"): Series => ({
  name,
  colour: "red",
  points,
});
/** Points of the lines of a chart. */
const linesOf = (svg: string): number[][][] =>
  [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points = ""]) =>
    points
      .split(" ")
      .filter(Boolean)
      .map((point) => point.split(",").map(Number)),
  );
const numbersIn = (svg: string): string[] =>
  [...svg.matchAll(/<text [^>]*>(-?[\d.]+k?)<\/text>/g)].map(([, text = ""]) => text);

test("a line rises to the right, inside its frame, with round numbers beside it", () => {
  const svg = chart([series([...Array(20).keys()].map((i) => [i, i * 0.05]))], options);
  const [line = []] = linesOf(svg);
  expect(line).toHaveLength(20);
  for (const [i, [x = 0, y = 0]] of line.entries()) {
    expect(x).toBeGreaterThanOrEqual(i === 0 ? 62 : (line[i - 1]?.[0] as number));
    expect(y).toBeLessThanOrEqual(i === 0 ? 220 : (line[i - 1]?.[1] as number));
    expect(x).toBeLessThanOrEqual(460);
    expect(y).toBeGreaterThanOrEqual(0);
  }
  expect(numbersIn(svg)).toEqual(expect.arrayContaining(["0", "5", "10", "15", "0.2", "0.4", "0.6", "0.8"]));
});

test("few points are shown as dots, many are not", () => {
  expect(chart([series([[1, 1]])], options)).toContain("<circle");
  expect(chart([series([...Array(40).keys()].map((i) => [i, i]))], options)).not.toContain("<circle");
});

test("values that are all the same, and none, are charts too", () => {
  const flat = chart([series([...Array(20).keys()].map((i) => [i, 3]))], options);
  expect(flat).not.toMatch(/NaN|Infinity/);
  expect(new Set(linesOf(flat)[0]?.map(([, y]) => y)).size).toBe(1);
  expect(chart([series([])], options)).toBe("");
});

test("a name with markup stays text", () => {
  const svg = chart([series([[0, 1]], '<img src="x">')], options);
  expect(svg).not.toContain("<img");
  expect(svg).toContain("&lt;img");
});
