import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { columnsOfResults, columnsOfTruth, readResults, readTruth } from "../../src/eval/index.js";
import { JsonScanner } from "../../src/eval/json/scanner.js";
import { bytesOf } from "./bytes.js";

const scan = (text: string, size?: number): unknown => {
  const scanner = new JsonScanner(bytesOf(text, size), 16);
  const value = scanner.whole(() => scanner.value());
  scanner.finish();
  return value;
};

describe("JSON as its bytes come", () => {
  test("any value is what JSON.parse makes of it, whatever the pieces", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.integer({ min: 1, max: 40 }), fc.boolean(), (value, size, spaced) => {
        const text = JSON.stringify(value, null, spaced ? 2 : 0);
        expect(scan(text, size)).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  test("any text, with all its characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 9 }), (text, size) => {
        expect(scan(JSON.stringify(text), size)).toBe(text);
      }),
    );
    expect(scan('"\\u00e9\\ud83d\\ude00\\/\\b"', 1)).toBe("é😀/\b");
  });

  test("any number, to the last bit", () => {
    const decimal = fc
      .tuple(fc.bigInt({ min: 0n, max: 10n ** 22n }), fc.integer({ min: 0, max: 25 }))
      .map(([digits, point]) => {
        const text = digits.toString().padStart(point + 1, "0");
        return point === 0 ? text : `${text.slice(0, -point)}.${text.slice(-point)}`;
      });
    const double = fc.double({ noNaN: true, noDefaultInfinity: true });
    // Halfway between two doubles, and a little beside.
    const middle = fc
      .tuple(fc.double({ min: 1, max: 1000, noNaN: true }), fc.integer({ min: 16, max: 20 }))
      .map(([low, digits]) => {
        const bits = new BigInt64Array(Float64Array.of(low).buffer);
        bits[0] = (bits[0] as bigint) + 1n;
        const high = new Float64Array(bits.buffer)[0] as number;
        return ((low + high) / 2).toPrecision(digits);
      });
    const written = fc.oneof(
      decimal,
      double.map(String),
      middle,
      double.map((value) => value.toExponential()),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          written,
          written.map((text) => (text.startsWith("-") ? text : `-${text}`)),
        ),
        (text) => {
          expect(scan(`[${text}]`, 7)).toEqual([Number(text)]);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test.each([
    ["", /expected a value, got the end of the file at byte 0/],
    ["[1,2", /expected "," or "\]", got the end of the file at byte 4/],
    ['{"a" 1}', /expected ":", got "1" at byte 5/],
    ["[1 2]", /expected "," or "\]", got "2" at byte 3/],
    ["[01]", /expected a value, got "0" at byte 1/],
    ["[1.]", /expected a value, got "1" at byte 1/],
    ["[1e]", /expected a value/],
    ["[-]", /expected a value, got "-" at byte 1/],
    ["[tru]", /expected a value, got "t" at byte 1/],
    ['"a\nb"', /expected a string without line breaks/],
    ['"\\x"', /expected an escape, got "x" at byte 2/],
    ['"\\u12g4"', /expected four hexadecimal digits/],
    ['"abc', /closing quote, got the end of the file at byte 4/],
    ["[] []", /expected the end of the file, got "\[" at byte 3/],
  ])("%j is no JSON", (text, message) => {
    for (const size of [1, 3, 100]) expect(() => scan(text, size)).toThrow(message);
  });
});

describe("result files", () => {
  const number = fc.oneof(
    fc.integer({ min: 0, max: 1e9 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  );
  const size = fc.double({ min: 0, max: 1e6, noNaN: true });
  const result = fc.record({
    image_id: fc.nat(),
    category_id: fc.nat(),
    bbox: fc.tuple(number, number, size, size),
    score: number,
  });

  test("are what JSON.parse and checks make of them, whatever else the entries hold", () => {
    const extra = fc.dictionary(fc.stringMatching(/^x/), fc.jsonValue(), { maxKeys: 2 });
    const entries = fc.array(fc.tuple(extra, result).map(([other, own]) => ({ ...other, ...own })));
    fc.assert(
      fc.property(entries, fc.integer({ min: 1, max: 300 }), (list, chunk) => {
        const text = JSON.stringify(list);
        expect(readResults(bytesOf(text, chunk))).toEqual(columnsOfResults(JSON.parse(text)));
      }),
    );
  });

  const well = { image_id: 1, category_id: 2, bbox: [0, 0, 5, 5], score: 0.5 };
  const mask = { size: [2, 2], counts: "04" };

  test("with masks, with and without boxes", () => {
    const masks = [{ ...well, bbox: undefined, segmentation: mask }];
    expect(readResults(bytesOf(masks))).toMatchObject({ count: 1, box: undefined, masks: [mask] });
    const both = [well, { ...well, segmentation: mask }];
    expect(readResults(bytesOf(both)).masks).toEqual([undefined, mask]);
    expect(readResults(bytesOf(both), { masks: false }).masks).toBeUndefined();
  });

  test("empty", () => expect(readResults(bytesOf("[ ]")).count).toBe(0));

  const broken = (change: object) => JSON.stringify([well, well, { ...well, ...change }]);
  test.each([
    [broken({ image_id: "1" }), /results\[2\]: image_id: expected a finite number, got "1"/],
    [broken({ image_id: undefined }), /results\[2\]: image_id: expected a finite number, got nothing/],
    [broken({ category_id: null }), /results\[2\]: category_id: expected a finite number, got null/],
    [broken({}).replace(/0.5}]$/, "NaN}]"), /results\[2\]: score: expected a finite number, got NaN/],
    [broken({}).replace(/0.5}]$/, "1e999}]"), /results\[2\]: score: expected a finite number, got Infinity/],
    [
      broken({ bbox: [0, 0, -1, 5] }),
      /results\[2\]: bbox: expected a width and height of 0 or more, got \[0,0,-1,5\]/,
    ],
    [broken({ bbox: [0, 0, 5] }), /results\[2\]: bbox: expected four finite numbers, .* got \[0,0,5\]/],
    [broken({ bbox: [0, 0, 5, 5, 5] }), /results\[2\]: bbox: expected four/],
    [broken({ bbox: undefined }), /results\[2\]: bbox: expected four finite numbers/],
    [
      broken({ bbox: undefined, segmentation: mask }),
      /results\[2\]: bbox: expected one, as the first entry has/,
    ],
    ["[1]", /results\[0\]: expected an object, got 1/],
    ['{"a":1}', /expected a list, got "\{" at byte 0/],
    [`${broken({}).slice(0, -1)},`, /results\[3\]: expected a value, got the end of the file/],
  ])("%s", (text, message) => {
    expect(() => readResults(bytesOf(text))).toThrow(message);
  });
});

describe("annotation files", () => {
  const annotation = {
    id: 7,
    image_id: 1,
    category_id: 2,
    bbox: [0, 1, 5.5, 5],
    area: 20,
    iscrowd: 0,
    segmentation: [[0, 0, 5, 0, 5, 5]],
  };
  const truth = {
    info: { description: "with ] and \\" },
    licenses: [[{ "]": "}" }]],
    images: [{ id: 1, width: 10, height: 20, file_name: "a.jpg" }],
    categories: [{ id: 2, name: "Käse 🧀", supercategory: "food" }],
    annotations: [annotation, { ...annotation, iscrowd: 1, id: 8 }],
  };

  test("are read whatever the pieces", () => {
    for (const chunk of [1, 10, 1000]) {
      const { masks, ...wanted } = columnsOfTruth(truth as never);
      const found = readTruth(bytesOf(truth, chunk));
      expect(found.categories).toEqual([{ id: 2, name: "Käse 🧀" }]);
      expect({ ...found, images: 0, categories: 0 }).toEqual({ ...wanted, images: 0, categories: 0, masks });
      expect(readTruth(bytesOf(truth, chunk), { masks: false })).toEqual({ ...found, masks: undefined });
    }
  });

  test.each([
    [{ images: [{}] }, /images\[0\]: id: expected a finite number/],
    [{ categories: [null] }, /categories\[0\]: id: expected a finite number/],
    [
      { annotations: [annotation, { ...annotation, area: undefined }] },
      /annotations\[1\]: area: expected a finite/,
    ],
    [
      { annotations: [annotation, { ...annotation, bbox: "x" }] },
      /annotations\[1\]: bbox: expected four finite/,
    ],
    [{ annotations: undefined }, /found no "annotations"/],
    [{ images: 5 }, /images: expected a list, got "5"/],
  ])("%j", (change, message) => {
    for (const masks of [true, false])
      expect(() => readTruth(bytesOf({ ...truth, ...change }), { masks })).toThrow(message);
  });
});
