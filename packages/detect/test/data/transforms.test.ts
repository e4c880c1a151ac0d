import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collate, keepRatio, resizeBilinear } from "@sepc/core";
import sharp from "sharp";
import { afterAll, describe, expect, test } from "vitest";
import { decodeImage, readImageSize } from "../../src/data/decode.js";
import { RandomStream } from "../../src/data/random.js";
import { cropBoxes } from "../../src/data/transforms/crop.js";
import { distort, shiftColours } from "../../src/data/transforms/photometric.js";
import type { TransformConfig } from "../../src/data/transforms/pipeline.js";

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

test("cropBoxes keeps boxes by the share of them that is inside", () => {
  const window = { x: 0, y: 0, width: 10, height: 10 };
  // A half, a quarter and nothing of these lies inside.
  const boxes = Float32Array.of(5, 0, 15, 10, 5, 5, 15, 15, 20, 20, 30, 30);
  const kept = (keep: number): number[] => cropBoxes(boxes, window, keep).rows;
  expect([kept(0), kept(0.25), kept(0.4), kept(0.6)]).toEqual([[0, 1], [0, 1], [0], []]);
});

describe("shiftColours", () => {
  const shifted = (colour: readonly number[], turn: number, saturation: number): number[] => {
    const data = Uint8ClampedArray.from(colour);
    shiftColours(data, turn, saturation);
    return [...data];
  };

  test("turns hue around the circle, brightness kept", () => {
    expect(shifted([200, 0, 0], 2, 1)).toEqual([0, 200, 0]);
    expect(shifted([200, 0, 0], -2, 1)).toEqual([0, 0, 200]);
    expect(shifted([200, 0, 0], 1, 1)).toEqual([200, 200, 0]);
    for (const colour of [
      [10, 20, 30],
      [250, 3, 77],
      [5, 5, 5],
    ])
      expect(shifted(colour, 0, 1)).toEqual(colour);
  });

  test("scales saturation", () => {
    expect(shifted([200, 100, 100], 0, 0)).toEqual([200, 200, 200]);
    expect(shifted([200, 100, 100], 0, 0.5)).toEqual([200, 150, 150]);
    expect(shifted([200, 100, 100], 0, 1.5)).toEqual([200, 50, 50]);
  });
});

describe("collate", () => {
  const config: TransformConfig = {
    scales: [[8, 8]],
    draw: "value",
    flip: 0,
    crop: 0,
    photometric: 0,
    sizeDivisor: 4,
    mean: [1, 2, 3],
    std: [2, 4, 5],
    channels: "rgb",
  };
  const image = { data: Uint8Array.of(11, 12, 13, 21, 22, 23), width: 2, height: 1 };
  const row = (pixels: Float32Array, channel: number): number[] => [
    ...pixels.subarray(16 * channel, 16 * channel + 4),
  ];

  test("normalises channels and pads with zeros, right and below", () => {
    const { pixels, shape } = collate([image], config);
    expect(shape).toEqual([1, 3, 4, 4]);
    expect([0, 1, 2].map((channel) => row(pixels, channel))).toEqual([
      [5, 10, 0, 0],
      [2.5, 5, 0, 0],
      [2, 4, 0, 0],
    ]);
    expect(pixels.subarray(4, 16).every((value) => value === 0)).toBe(true);
  });

  test("mirrors those it is told, and swaps channels for weights of Caffe's order", () => {
    expect(row(collate([image], config, [true]).pixels, 0)).toEqual([10, 5, 0, 0]);
    const { pixels } = collate([image], { ...config, channels: "bgr", std: [1, 1, 1] });
    expect([0, 1, 2].map((channel) => row(pixels, channel).slice(0, 2))).toEqual([
      [12, 22],
      [10, 20],
      [8, 18],
    ]);
  });
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
    ["CMYK", () => base().toColourspace("cmyk").jpeg({ quality: 100 }).toBuffer(), null],
    ["grey with transparency", () => base().greyscale().ensureAlpha(1).png().toBuffer(), null],
    ["16 bit grey", () => base().greyscale().toColourspace("grey16").png().toBuffer(), null],
    ["WebP", () => base().webp({ lossless: true }).toBuffer(), [200, 10, 30]],
    ["16 bit", () => base().toColourspace("rgb16").png().toBuffer(), [200, 10, 30]],
    ["progressive JPEG", () => base().jpeg({ progressive: true, quality: 100 }).toBuffer(), null],
    ["indexed colours", () => base().png({ palette: true }).toBuffer(), [200, 10, 30]],
  ] as const)("makes 8 bit RGB of %s", async (_name, make, colour) => {
    const { data, width, height } = await decodeImage(await make());
    expect([data.length, width, height]).toEqual([72, 6, 4]);
    if (colour !== null) expect([...data.subarray(0, 3)]).toEqual([...colour]);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])("turns as EXIF orientation %i says", async (orientation) => {
    // The upper left corner of the picture as it is meant is white, all else black.
    const corner = { 1: [0, 0], 2: [1, 0], 3: [1, 1], 4: [0, 1], 5: [0, 0], 6: [0, 1], 7: [1, 1], 8: [1, 0] }[
      orientation
    ] as [number, number];
    const white = await sharp({ create: { width: 16, height: 16, channels: 3, background: "white" } })
      .png()
      .toBuffer();
    const stored = sharp({ create: { width: 64, height: 32, channels: 3, background: "black" } })
      .composite([{ input: white, left: 48 * corner[0], top: 16 * corner[1] }])
      .withMetadata({ orientation });
    const image = await decodeImage(await stored.jpeg({ quality: 100 }).toBuffer());
    expect([image.width, image.height]).toEqual(orientation < 5 ? [64, 32] : [32, 64]);
    const at = (x: number, y: number): number => image.data[(y * image.width + x) * 3] as number;
    expect(at(4, 4)).toBeGreaterThan(240);
    expect(at(image.width - 5, image.height - 5)).toBeLessThan(15);
    expect(at(image.width - 5, 4)).toBeLessThan(15);
  });

  test("makes a picture smaller by halves, and still tells its size", async () => {
    for (const shrink of [2, 4, 8]) {
      const turned = sharp({
        create: { width: 101, height: 50, channels: 3, background: { r: 200, g: 10, b: 30 } },
      })
        .withMetadata({ orientation: 6 })
        .jpeg({ quality: 100 });
      const image = await decodeImage(await turned.toBuffer(), { shrink });
      expect([image.originalWidth, image.originalHeight]).toEqual([50, 101]);
      expect([image.width, image.height]).toEqual([Math.ceil(50 / shrink), Math.ceil(101 / shrink)]);
      expect(Math.abs((image.data[0] as number) - 200)).toBeLessThan(4);
    }
  });

  /** A BMP of 3x2 pixels, whose rows are padded to 4 bytes; `rows` from the top. */
  const bmp = (
    bits: number,
    rows: readonly (readonly number[])[],
    palette: readonly number[] = [],
    topDown = false,
  ) => {
    const stored = (topDown ? rows : rows.toReversed()).map((row) =>
      Buffer.concat([Buffer.from(row), Buffer.alloc((4 - (row.length % 4)) % 4)]),
    );
    const head = Buffer.alloc(54);
    head.write("BM");
    head.writeUInt32LE(54 + palette.length, 10);
    head.writeUInt32LE(40, 14);
    head.writeInt32LE(3, 18);
    head.writeInt32LE(topDown ? -2 : 2, 22);
    head.writeUInt16LE(bits, 28);
    return Buffer.concat([head, Buffer.from(palette), ...stored]);
  };
  const [r, g, b, w] = [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [255, 255, 255],
  ] as const;
  const wanted = [...r, ...g, ...b, ...w, ...w, ...r];
  const reversed = (colour: readonly number[]): number[] => colour.toReversed();

  test.each([
    ["24 bits", bmp(24, [[r, g, b].flatMap(reversed), [w, w, r].flatMap(reversed)])],
    [
      "32 bits, rows from the top",
      bmp(
        32,
        [
          [r, g, b].flatMap((one) => [...reversed(one), 0]),
          [w, w, r].flatMap((one) => [...reversed(one), 0]),
        ],
        [],
        true,
      ),
    ],
    [
      "8 bits of a palette",
      bmp(
        8,
        [
          [0, 1, 2],
          [3, 3, 0],
        ],
        [r, g, b, w].flatMap((one) => [...reversed(one), 0]),
      ),
    ],
    [
      "4 bits of a palette",
      bmp(
        4,
        [
          [0x01, 0x20],
          [0x33, 0x00],
        ],
        [r, g, b, w].flatMap((one) => [...reversed(one), 0]),
      ),
    ],
  ])("reads BMP of %s", async (_name, bytes) => {
    const file = join(folder, "any.bmp");
    writeFileSync(file, bytes);
    for (const source of [bytes, file]) {
      const { data, width, height } = await decodeImage(source);
      expect([width, height, ...data]).toEqual([3, 2, ...wanted]);
    }
    expect(await readImageSize(file)).toEqual({ width: 3, height: 2 });
    await expect(decodeImage(bytes.subarray(0, bytes.length - 1))).rejects.toThrow(
      /ends before its last row/,
    );
    await expect(decodeImage(bytes.subarray(0, 20))).rejects.toThrow(/ends in its head/);
    await expect(decodeImage(bytes, { maxPixels: 5 })).rejects.toThrow(/limit of 5 pixels/);
  });

  test("says what it cannot read of BMP", async () => {
    const squeezed = bmp(8, [[0, 0, 0]]);
    squeezed.writeUInt32LE(1, 30);
    await expect(decodeImage(squeezed)).rejects.toMatchObject({
      code: "FILE",
      message: expect.stringMatching(/8 bits and compression 1; save it as PNG/),
    });
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
    writeFileSync(cut, whole.subarray(0, whole.length / 2));
    await expect(decodeImage(cut)).rejects.toMatchObject({
      code: "FILE",
      message: expect.stringContaining(cut),
    });
    await expect(decodeImage(join(folder, "none.png"))).rejects.toThrow(/none\.png/);
    await expect(decodeImage(await base().png().toBuffer(), { maxPixels: 10 })).rejects.toThrow(/pixel/i);
  });
});
