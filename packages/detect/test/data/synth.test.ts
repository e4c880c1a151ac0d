import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { decodeImage } from "../../src/data/decode.js";
import { openSplits } from "../../src/data/splits.js";
import { SHAPES } from "../../src/data/synth/shapes.js";
import { type SynthOptions, synthesize } from "../../src/data/synth/synthesize.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-synth-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;

async function synth(options: Partial<SynthOptions>): Promise<string> {
  const out = join(folder, String(made++));
  await synthesize({ out, images: 4, width: 96, height: 80, min: 8, max: 60, ...options });
  return out;
}

/** A hash of all that a folder holds. */
function hashOf(out: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const path of files.map((entry) => join(entry.parentPath, entry.name)).sort())
    hash.update(path.slice(out.length)).update(readFileSync(path));
  return hash.digest("hex");
}

describe("synthesize", () => {
  test("gives the same files for the same seed, others for another", async () => {
    for (const format of ["png", "jpeg"] as const) {
      const first = hashOf(await synth({ seed: 3, format }));
      expect(hashOf(await synth({ seed: 3, format }))).toBe(first);
      expect(hashOf(await synth({ seed: 4, format }))).not.toBe(first);
    }
  });

  test("draws as many pictures of each split as asked for, of that size", async () => {
    const splits = await openSplits(await synth({ images: 10, splits: { train: 0.7, val: 0.2, test: 0.1 } }));
    expect(splits.map(({ split, dataset }) => [split, dataset.images.length])).toEqual([
      ["train", 7],
      ["val", 2],
      ["test", 1],
    ]);
    const image = await decodeImage(splits[0]?.dataset.images[0]?.file ?? "");
    expect([image.width, image.height]).toEqual([96, 80]);
  });

  test("spreads sizes log-uniformly, whatever the class", async () => {
    const classes = Object.keys(SHAPES);
    const out = await synth({
      images: 120,
      width: 160,
      height: 160,
      min: 8,
      max: 128,
      objects: 4,
      classes,
      clutter: 0,
    });
    const objects = (await openSplits(out)).flatMap(({ dataset }) =>
      dataset.images.flatMap((image) => image.objects),
    );
    const sides = objects.map(({ box: [x1, y1, x2, y2] }) => Math.max(x2 - x1, y2 - y1));
    // Octaves of sides; turned squares reach 1.4 times further, and what is hidden or outside makes less.
    const counts = [8, 16, 32, 64].map(
      (from) => sides.filter((side) => side >= from && side < 2 * from).length,
    );
    for (const count of counts) expect(count / sides.length).toBeGreaterThan(0.12);
    expect(Math.max(...sides)).toBeGreaterThan(100);
    expect(Math.min(...sides)).toBeLessThan(10);
    const perClass = classes.map((_, label) => objects.filter((object) => object.label === label).length);
    expect(Math.min(...perClass)).toBeGreaterThan(0.05 * objects.length);
  });

  test("boxes fit the pixels that are seen, inside the picture", async () => {
    for (const { dataset } of await openSplits(await synth({ images: 12 })))
      for (const { width, height, objects } of dataset.images)
        for (const { box, area } of objects) {
          const [x1, y1, x2, y2] = box;
          expect(box.every(Number.isInteger)).toBe(true);
          expect(x1 >= 0 && y1 >= 0 && x2 <= width && y2 <= height).toBe(true);
          expect(area).toBeGreaterThanOrEqual(4);
          expect(area).toBeLessThanOrEqual((x2 - x1) * (y2 - y1));
        }
  });

  test.each([
    [{ classes: ["circle", "blob"] }, /classes: expected some of circle, square.*got circle, blob/],
    [{ classes: ["circle", "circle"] }, /each once/],
    [{ min: 30, max: 20 }, /min <= max, got 30 and 20/],
    [{ min: 200, max: 300 }, /objects of 200 pixels do not fit 96x80/],
    [{ splits: { train: 0.5 } }, /shares that add up to 1/],
    [{ splits: { "../up": 1 } }, /names of letters and digits/],
    [{ images: 0 }, /images: expected a whole number from 1, got 0/],
  ] as const)("refuses %j", async (options, message) => {
    await expect(synth(options)).rejects.toThrow(message);
  });
});
