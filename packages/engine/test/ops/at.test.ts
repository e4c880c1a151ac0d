import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  arange,
  type DType,
  grad,
  liveTensors,
  scope,
  sharesStorage,
  type Tensor,
  tensor,
  zeros,
} from "../../src/index.js";
import { at, type Index, reshape, setAt } from "../../src/ops/index.js";

type Nested = number | Nested[];

/** x[i, j, ...] = its place read row-major. */
function counting(shape: readonly number[]): Tensor {
  const size = shape.reduce((product, extent) => product * extent, 1);
  return reshape(arange(0, size, 1, { dtype: "float32" }), shape);
}

function nestedOf(shape: readonly number[], start = { at: 0 }): Nested {
  const [extent, ...rest] = shape;
  return extent === undefined ? start.at++ : Array.from({ length: extent }, () => nestedOf(rest, start));
}

/** What Python's slice takes of a list. */
function span(length: number, text: string): number[] {
  const [first, last, every] = text.split(":").map((part) => (part === "" ? undefined : Number(part)));
  const bound = (value: number | undefined, otherwise: number): number =>
    value === undefined ? otherwise : Math.min(Math.max(value < 0 ? value + length : value, 0), length);
  const out: number[] = [];
  for (let i = bound(first, 0); i < bound(last, length); i += every ?? 1) out.push(i);
  return out;
}

const wrap = (i: number, length: number): number => (i < 0 ? i + length : i);

/** The model: indices one dimension after another over nested arrays; at most one array among them. */
function takeNested(x: Nested, shape: readonly number[], specs: readonly Index[]): Nested {
  const [spec, ...rest] = specs;
  if (spec === undefined) return x;
  if (spec === null) return [takeNested(x, shape, rest)];
  if (spec === "...") {
    const used = rest.filter((other) => other !== null).length;
    return mapDepth(x, shape.length - used, (inner, depth) => takeNested(inner, shape.slice(depth), rest));
  }
  const rows = x as Nested[];
  const inner = (i: number): Nested => takeNested(rows[i] as Nested, shape.slice(1), rest);
  if (typeof spec === "number") return inner(wrap(spec, rows.length));
  if (typeof spec === "string") return span(rows.length, spec).map(inner);
  return (spec as number[]).map((i) => inner(wrap(i, rows.length)));
}

function mapDepth(
  x: Nested,
  depth: number,
  call: (inner: Nested, depth: number) => Nested,
  from = depth,
): Nested {
  if (depth === 0) return call(x, from);
  return (x as Nested[]).map((inner) => mapDepth(inner, depth - 1, call, from));
}

const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
const bound = fc.option(fc.integer({ min: -6, max: 6 }), { nil: undefined });
const spanText = fc
  .tuple(bound, bound, fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }))
  .map(([start, stop, step]) => `${start ?? ""}:${stop ?? ""}${step === undefined ? "" : `:${step}`}`);

/** Specs that fit a shape: numbers, slices, new axes, an ellipsis, at most one array. */
const specsFor = (shape: readonly number[], withArray: boolean): fc.Arbitrary<Index[]> =>
  fc
    .tuple(
      fc.tuple(
        ...shape.map(
          (size) =>
            fc.oneof(
              fc.integer({ min: -size, max: size - 1 }),
              spanText,
              fc.constant(":"),
            ) as fc.Arbitrary<Index>,
        ),
      ),
      fc.nat({ max: shape.length }),
      fc.option(fc.nat({ max: shape.length - 1 }), { nil: undefined }),
      fc.option(fc.nat({ max: shape.length }), { nil: undefined }),
      fc.nat({ max: shape.length - 1 }),
      fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
    )
    .map(([specs, length, ellipsis, newAxis, arrayAt, array]) => {
      const out: Index[] = specs.slice(0, length);
      if (withArray && arrayAt < out.length) {
        const size = shape[arrayAt] as number;
        out[arrayAt] = array.map((i) => (i % (2 * size)) - size);
      }
      if (ellipsis !== undefined && ellipsis <= out.length) {
        // The specs after it count from the last dimension: keep those that fit there.
        const after = out.slice(ellipsis).map((spec) => (typeof spec === "string" ? spec : ":"));
        out.splice(ellipsis, out.length, "...", ...after);
      }
      if (newAxis !== undefined && newAxis <= out.length) out.splice(newAxis, 0, null);
      return out;
    });

const cases = (withArray: boolean) =>
  shapes.chain((shape) => fc.tuple(fc.constant(shape), specsFor(shape, withArray)));

describe("at", () => {
  test("takes what nested arrays would give", () => {
    fc.assert(
      fc.property(cases(true), ([shape, specs]) => {
        scope(() => {
          const seen = counting(shape).at(...specs);
          expect(seen.tolist()).toEqual(takeNested(nestedOf(shape), shape, specs));
        });
      }),
      { numRuns: 500 },
    );
  });

  test("gives views, so that setAt changes just those elements", () => {
    fc.assert(
      fc.property(cases(false), ([shape, specs]) => {
        scope(() => {
          const x = counting(shape);
          const part = at(x, ...specs);
          expect(sharesStorage(part, x)).toBe(true);
          const touched = new Set(part.reshape([-1]).toTypedArray() as Float32Array);
          expect(setAt(x, specs, -1)).toBe(x);
          Array.from(x.toTypedArray(), Number).forEach((value, i) => {
            expect(value).toBe(touched.has(i) ? -1 : i);
          });
        });
      }),
      { numRuns: 200 },
    );
  });

  test("masks, index tensors and their combinations", () => {
    const x = counting([3, 4]);
    expect(x.at(x.gt(6)).tolist()).toEqual([7, 8, 9, 10, 11]);
    expect(x.at(tensor([true, false, true]), -1).tolist()).toEqual([3, 11]);
    expect(x.at(":", tensor([false, true, false, true])).tolist()).toEqual([
      [1, 3],
      [5, 7],
      [9, 11],
    ]);
    const rows = tensor([0, 2], { dtype: "int64" });
    expect(x.at(rows, [1, 3]).tolist()).toEqual([1, 11]);
    expect(x.at(rows.int()).tolist()).toEqual([
      [0, 1, 2, 3],
      [8, 9, 10, 11],
    ]);
    expect(x.at(rows.unsqueeze(1), [1, 3]).tolist()).toEqual([
      [1, 3],
      [9, 11],
    ]);
    expect(x.at(rows, null, "1:3").tolist()).toEqual([[[1, 2]], [[9, 10]]]);
    expect(counting([2, 3, 2]).at([1, 0], ":", 1).tolist()).toEqual([
      [7, 9, 11],
      [1, 3, 5],
    ]);
    expect(counting([2, 3, 2]).at([1, 0], ":", [1, 0]).shape).toEqual([2, 3]);
    expect(x.at([]).shape).toEqual([0, 4]);
    expect(x.at().tolist()).toEqual(x.tolist());
    expect(tensor(5).at("...").tolist()).toBe(5);
    expect(tensor(5).at(null).tolist()).toEqual([5]);
  });

  test("values are set by number, by tensor and by broadcasting", () => {
    const x = zeros([3, 4]);
    x.setAt([0], tensor([1, 2, 3, 4])).setAt([":", -1], 9);
    expect(x.tolist()).toEqual([
      [1, 2, 3, 9],
      [0, 0, 0, 9],
      [0, 0, 0, 9],
    ]);
    x.setAt([x.eq(9)], 5).setAt(
      [
        [1, 2],
        [0, 1],
      ],
      tensor([7, 8]),
    );
    expect(x.tolist()).toEqual([
      [1, 2, 3, 5],
      [7, 0, 0, 5],
      [0, 8, 0, 5],
    ]);
    x.setAt(["1:", "::2"], tensor([[[1], [2]]]));
    expect(x.tolist()).toEqual([
      [1, 2, 3, 5],
      [1, 0, 1, 5],
      [2, 8, 2, 5],
    ]);
    const counts = zeros([2], { dtype: "int64" }).setAt([[1]], tensor([3], { dtype: "float32" }));
    expect(counts.tolist()).toEqual([0, 3]);
  });

  test("differentiates through views and copies", () => {
    const x = counting([2, 3]);
    x.requiresGrad = true;
    const loss = x
      .at(":", 1)
      .sum()
      .add(x.at([1, 1], 0).mul(2).sum());
    expect((grad([loss], [x])[0] as Tensor).tolist()).toEqual([
      [0, 1, 0],
      [4, 1, 0],
    ]);
  });

  test("leaves nothing behind but its result", () => {
    const x = counting([3, 4, 5]);
    const before = liveTensors().tensors;
    const part = scope(() => x.at("1:", null, [0, 2], "::2"));
    expect(liveTensors().tensors).toBe(before + 1);
    part.free();
    x.setAt([0, "1:"], 3);
    expect(liveTensors().tensors).toBe(before);
  });

  test.each<[string, Index[], RegExp]>([
    [
      "too many",
      [0, 0, 0],
      /^at: expected indices for at most 2 dimensions of a tensor of shape \[3, 4\], got 3$/,
    ],
    ["out of range", [3], /^at: index 0: expected an integer from -3 to 2 for a dimension of size 3, got 3$/],
    ["a fraction", [0.5], /index 0: expected an integer, got 0.5/],
    ["no slice", [":", "1-2"], /index 1: expected a slice "start:stop:step" or "\.\.\.", got "1-2"/],
    ["a negative step", ["::-1"], /index 0: expected a step above 0 \(flip\(\) reverses\), got "::-1"/],
    ["step zero", ["::0"], /a step above 0/],
    ["two ellipses", ["...", "..."], /"\.\.\." at most once/],
    [
      "a float tensor",
      [tensor([1])],
      /index 0: expected a bool, int64 or int32 tensor, got a float32 tensor/,
    ],
    ["a byte mask", [zeros([3], { dtype: "uint8" })], /got a uint8 tensor/],
    [
      "a mask of another shape",
      [zeros([2], { dtype: "bool" })],
      /expected a mask of shape \[3\], got "\[2\]"/,
    ],
    ["fractions", [[0, 1.5]], /expected an array of integers, got \[0, 1.5\]/],
    [
      "true",
      [true as never],
      /expected a number, "start:stop:step", "\.\.\.", null, a Tensor or number\[\], got true/,
    ],
    ["undefined", [undefined as never], /got undefined/],
  ])("refuses %s", (_, specs, message) => {
    expect(() => zeros([3, 4]).at(...specs)).toThrow(message);
  });

  test("refuses array entries out of range, freed tensors, and specs that are no array", () => {
    expect(() => zeros([3]).at([5])).toThrow(/aten::index\.Tensor: index 5 is out of bounds/);
    const gone = zeros([1], { dtype: "int64" });
    gone.free();
    expect(() => zeros([3]).at(gone)).toThrow(expect.objectContaining({ code: "FREED" }));
    expect(() => setAt(zeros([3]), 0 as never, 1)).toThrow(/setAt: expected an array of indices, got 0/);
    expect(() => setAt(zeros([2, 3]), [0], zeros([2]))).toThrow(/aten::copy_/);
  });
});

test.each<DType>([
  "float64",
  "float16",
  "bfloat16",
  "int64",
  "int32",
  "int16",
  "int8",
  "uint8",
  "bool",
])("%s tensors are indexed and set alike", (dtype) => {
  const x = zeros([2, 3], { dtype }).setAt([1, "1:"], 1);
  expect(x.dtype).toBe(dtype);
  expect(x.at(1).tolist()).toEqual([0, 1, 1]);
  expect(x.at(x.bool()).long().tolist()).toEqual([1, 1]);
  expect(
    x
      .setAt([[0], [2]], 1)
      .at(":", 2)
      .long()
      .tolist(),
  ).toEqual([1, 1]);
});
