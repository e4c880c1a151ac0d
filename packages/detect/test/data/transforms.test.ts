import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, test } from "vitest";
import { decodeImage } from "../../src/data/decode.js";
import { RandomStream } from "../../src/data/random.js";
import { cropBoxes } from "../../src/data/transforms/crop.js";
import { distort } from "../../src/data/transforms/photometric.js";
import { keepRatio, resizeBilinear } from "../../src/data/transforms/resize.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-transforms-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const grey = (values: readonly number[], width: number, height: number) => ({
  data: Uint8Array.from(values.flatMap((value) => [value, value, value])),
  width,
  height,
});
const red = ({ data }: { data: Uint8Array }): number[] => [...data].filter((_, i) => i % 3 === 0);

/** Sizes, and the SHA-1 of what OpenCV 4.9 and 5.0 make of the pattern below. */
const GOLDENS = [
  [64, 48, 107, 80, "38281e1ba224"],
  [64, 48, 43, 32, "56124b3c1d1a"],
  [50, 37, 32, 24, "db30b322daa1"],
  [64, 48, 32, 24, "f2dd5d82d117"],
  [33, 21, 64, 64, "0b5ad77fcb98"],
  [100, 80, 100, 160, "c2a45009b9b3"],
  [7, 5, 3, 9, "34d0410c2dbf"],
  [1, 1, 5, 4, "99c9f2fa8eb2"],
  [9, 1, 4, 3, "3178c5058a61"],
  [640, 480, 1067, 800, "673b51f360a9"],
  [480, 640, 600, 800, "9861dc5be2c5"],
  [1333, 800, 640, 384, "a737276c685c"],
  [31, 77, 30, 76, "ca7a5be58958"],
] as const;

describe("resizeBilinear", () => {
  test("takes pixels' centres at halves, as OpenCV", () => {
    // cv2.resize(np.array([[0, 100]], np.uint8), (4, 1)) is [[0, 25, 75, 100]].
    expect(red(resizeBilinear(grey([0, 100], 2, 1), 4, 1))).toEqual([0, 25, 75, 100]);
    expect(red(resizeBilinear(grey([0, 50, 100, 150], 4, 1), 2, 1))).toEqual([25, 125]);
  });

  /** A picture that any language can make. */
  const pattern = (width: number, height: number) => {
    const data = new Uint8Array(width * height * 3);
    for (let y = 0, at = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < 3; c++) data[at++] = (x * 37 + y * 59 + c * 101 + ((x * y * 13) ^ (x * 7))) & 255;
    return { data, width, height };
  };

  test.each(
    GOLDENS,
  )("of %ix%i to %ix%i gives the bits of cv2.resize", (width, height, toWidth, toHeight, sha1) => {
    const { data } = resizeBilinear(pattern(width, height), toWidth, toHeight);
    expect(createHash("sha1").update(data).digest("hex").slice(0, 12)).toBe(sha1);
  });

  test("keeps one colour one colour, at any size", () => {
    for (const [width, height] of [
      [1, 1],
      [7, 3],
      [40, 90],
    ] as const)
      expect(new Set(resizeBilinear(grey(Array(20).fill(77), 5, 4), width, height).data)).toEqual(
        new Set([77]),
      );
  });
});

test("keepRatio fits the longer and the shorter side, rounding half up", () => {
  expect(keepRatio(640, 480, [1333, 800])).toEqual([1067, 800]);
  expect(keepRatio(1000, 300, [1333, 800])).toEqual([1333, 400]);
  expect(keepRatio(480, 640, [1333, 800])).toEqual([800, 1067]);
});

test("cropBoxes keeps boxes whose centre is inside, clipped and moved", () => {
  const window = { x: 10, y: 10, width: 20, height: 20 };
  const { rows, boxes } = cropBoxes(Float32Array.of(5, 5, 25, 25, 0, 0, 9, 9, 28, 12, 50, 20), window);
  expect(rows).toEqual([0]);
  expect([...boxes]).toEqual([0, 0, 15, 15]);
});

test("distort changes colours and not the size", () => {
  const image = { data: Uint8Array.from({ length: 300 }, (_, i) => (i * 7) % 256), width: 10, height: 10 };
  const changed = Array.from({ length: 8 }, (_, seed) => distort(image, new RandomStream(seed)));
  for (const { data, width, height } of changed) expect([data.length, width, height]).toEqual([300, 10, 10]);
  expect(changed.some(({ data }) => Buffer.compare(data, image.data) !== 0)).toBe(true);
});

describe("decodeImage", () => {
  const base = () =>
    sharp({ create: { width: 6, height: 4, channels: 3, background: { r: 200, g: 10, b: 30 } } });

  test.each([
    ["greyscale", () => base().greyscale().png().toBuffer(), null],
    ["CMYK", () => base().toColourspace("cmyk").tiff().toBuffer(), null],
    ["16 bit", () => base().toColourspace("rgb16").png().toBuffer(), [200, 10, 30]],
    ["progressive JPEG", () => base().jpeg({ progressive: true, quality: 100 }).toBuffer(), null],
    ["indexed colours", () => base().png({ palette: true }).toBuffer(), [200, 10, 30]],
  ] as const)("makes 8 bit RGB of %s", async (_name, make, colour) => {
    const { data, width, height } = await decodeImage(await make());
    expect([data.length, width, height]).toEqual([72, 6, 4]);
    if (colour !== null) expect([...data.subarray(0, 3)]).toEqual([...colour]);
  });

  test("turns as the EXIF orientation says", async () => {
    const { width, height } = await decodeImage(
      await base().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
    );
    expect([width, height]).toEqual([4, 6]);
  });

  test("puts what is transparent on white", async () => {
    const clear = await sharp({
      create: { width: 2, height: 2, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } },
    })
      .png()
      .toBuffer();
    expect([...(await decodeImage(clear)).data.subarray(0, 3)]).toEqual([255, 255, 255]);
  });

  test("names the file that it cannot read", async () => {
    const whole = await sharp({
      create: {
        width: 300,
        height: 300,
        channels: 3,
        background: "blue",
        noise: { type: "gaussian", mean: 128, sigma: 60 },
      },
    })
      .jpeg()
      .toBuffer();
    const cut = join(folder, "cut.jpg");
    await import("node:fs").then(({ writeFileSync }) =>
      writeFileSync(cut, whole.subarray(0, whole.length / 2)),
    );
    await expect(decodeImage(cut)).rejects.toMatchObject({
      code: "FILE",
      message: expect.stringContaining(cut),
    });
    await expect(decodeImage(join(folder, "none.png"))).rejects.toThrow(/none\.png/);
    await expect(decodeImage(await base().png().toBuffer(), { maxPixels: 10 })).rejects.toThrow(/pixel/i);
  });
});
