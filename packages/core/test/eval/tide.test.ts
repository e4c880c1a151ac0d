// Reference values of the TIDE authors' code (tidecv 1.0.1), gains in points of AP. Made on the reference detections
// sorted by score, image and place, with scores 1, 0.99999, 0.99998 ...: with equal scores its order is an accident.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { analyseErrors, type GroundTruth, type Result } from "../../src/eval/index.js";

const data = fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
const here = existsSync(join(data, "cocoeval", "visible"));
const read = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));

type Short = "Cls" | "Loc" | "Both" | "Dupe" | "Bkg" | "Miss";
interface Expected {
  readonly ap: number;
  readonly main: Readonly<Record<Short, number>>;
  readonly counts: Readonly<Record<Short, number>>;
  readonly special: { readonly FalsePos: number; readonly FalseNeg: number };
}
const names = {
  classification: "Cls",
  localization: "Loc",
  both: "Both",
  duplicate: "Dupe",
  background: "Bkg",
  missed: "Miss",
} as const;

describe.skipIf(!here)("TIDE authors' code (needs the detections in ../shared/data/cocoeval)", () => {
  const golden = read(join(import.meta.dirname, "tide.golden.json")) as Record<string, Expected>;
  test.each(Object.entries(golden))("%s", (name, wanted) => {
    const file = read(join(data, "cocoeval", "visible", `${name}.json`)) as {
      gt: string;
      detections: (Result & { score: number })[];
    };
    const truth = read(join(data, file.gt)) as GroundTruth;
    const results = file.detections
      .sort((a, b) => b.score - a.score || a.image_id - b.image_id)
      .map((one, i) => ({ ...one, score: Number((1 - i / 100000).toFixed(5)) }));
    const found = analyseErrors(truth, results);
    expect(100 * found.ap).toBeCloseTo(wanted.ap, 10);
    for (const [kind, short] of Object.entries(names) as [keyof typeof names, Short][]) {
      expect(found.errors[kind].count, kind).toBe(wanted.counts[short]);
      expect(100 * found.errors[kind].dAP, kind).toBeCloseTo(wanted.main[short], 10);
    }
    expect(100 * found.special.falsePositive.dAP).toBeCloseTo(wanted.special.FalsePos, 10);
    expect(100 * found.special.falseNegative.dAP).toBeCloseTo(wanted.special.FalseNeg, 10);
  });
});

describe("kinds of errors", () => {
  const box = [10, 10, 10, 10];
  const truth: GroundTruth = {
    images: [{ id: 1 }, { id: 2 }],
    categories: [
      { id: 1, name: "cat" },
      { id: 2, name: "dog" },
    ],
    annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: box, area: 100 }],
  };
  const found = (category_id: number, bbox: readonly number[], score: number, image_id = 1): Result => ({
    image_id,
    category_id,
    bbox,
    score,
  });
  const kindsOf = (results: readonly Result[], of = truth): Record<string, number> =>
    Object.fromEntries(
      Object.entries(analyseErrors(of, results).errors).flatMap(([kind, { count }]) =>
        count > 0 ? [[kind, count]] : [],
      ),
    );

  test("nothing wrong: no errors", () => expect(kindsOf([found(1, box, 0.9)])).toEqual({}));
  test("another class", () => expect(kindsOf([found(2, box, 0.9)])).toEqual({ classification: 1 }));
  test("a bad box", () => expect(kindsOf([found(1, [16, 10, 10, 10], 0.9)])).toEqual({ localization: 1 }));
  test("both", () => expect(kindsOf([found(2, [16, 10, 10, 10], 0.9)])).toEqual({ both: 1, missed: 1 }));
  test("found twice", () =>
    expect(kindsOf([found(1, box, 0.9), found(1, box, 0.8)])).toEqual({ duplicate: 1 }));
  test("nothing there", () =>
    expect(kindsOf([found(1, [80, 80, 5, 5], 0.9)])).toEqual({ background: 1, missed: 1 }));
  test("an image without objects", () =>
    expect(kindsOf([found(1, box, 0.9), found(1, box, 0.9, 2)])).toEqual({ background: 1 }));
  test("missed", () => expect(kindsOf([])).toEqual({ missed: 1 }));

  test("mending the one error there is gives full AP", () => {
    const { ap, errors, special } = analyseErrors(truth, [found(1, [16, 10, 10, 10], 0.9)]);
    expect(ap).toBe(0);
    expect(errors.localization.dAP).toBe(1);
    // Nothing is left to be found, so that the class counts no more.
    expect(special.falseNegative.count).toBe(1);
  });

  test("of two that want one object the surest has it", () => {
    const two = [found(1, [14, 10, 10, 10], 0.6), found(1, [15, 10, 10, 10], 0.9)];
    const { errors } = analyseErrors(truth, two);
    expect(errors.localization).toEqual({ count: 2, dAP: 1 });
  });

  test("refuses bounds that make no sense", () => {
    expect(() => analyseErrors(truth, [], { foreground: 0.1, background: 0.5 })).toThrow(
      /background: expected less than foreground \(0.1\), got 0.5/,
    );
    expect(() => analyseErrors(truth, [], { foreground: 2 })).toThrow(
      /foreground: expected a number above 0/,
    );
  });
});
