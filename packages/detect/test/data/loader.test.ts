import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataLoader, type LoaderOptions } from "../../src/data/loader.js";
import { openDataset } from "../../src/data/open.js";
import { synthesize } from "../../src/data/synth/synthesize.js";
import type { TransformConfig } from "../../src/data/transforms/pipeline.js";
import type { Batch, DetectionDataset } from "../../src/data/types.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-loader-"));
let dataset: DetectionDataset;

beforeAll(async () => {
  await synthesize({
    out: folder,
    images: 10,
    width: 96,
    height: 64,
    min: 12,
    max: 40,
    splits: { train: 1 },
  });
  dataset = await openDataset(folder, { split: "train" });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const transforms: TransformConfig = {
  scales: [
    [96, 64],
    [72, 48],
  ],
  draw: "range",
  flip: 0.5,
  crop: 0.5,
  photometric: 0.5,
  sizeDivisor: 32,
  mean: [120, 120, 120],
  std: [60, 60, 60],
  channels: "rgb",
};

async function batchesOf(options: Partial<LoaderOptions>, epoch = 0, start = 0): Promise<Batch[]> {
  const loader = new DataLoader(dataset, { batchSize: 4, shuffle: true, seed: 5, transforms, ...options });
  const batches: Batch[] = [];
  try {
    for await (const batch of loader.epoch(epoch, start)) batches.push(batch);
  } finally {
    await loader.close();
  }
  return batches;
}

const fingerprint = (batches: readonly Batch[]): unknown =>
  batches.map(({ pixels, shape, samples }) => ({
    shape,
    pixels: Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength).toString("base64"),
    samples: samples.map(({ image, boxes, labels }) => [image.id, [...boxes], [...labels]]),
  }));

describe("DataLoader", () => {
  test("gives the same bits whatever the number of workers and batches made ahead", async () => {
    const alone = fingerprint(await batchesOf({ workers: 0 }));
    expect(fingerprint(await batchesOf({ workers: 1 }))).toEqual(alone);
    expect(fingerprint(await batchesOf({ workers: 2, prefetch: 5 }))).toEqual(alone);
  });

  test("shows every picture once an epoch, in another order in each", async () => {
    const ids = async (epoch: number): Promise<number[]> =>
      (await batchesOf({}, epoch)).flatMap(({ samples }) => samples.map(({ image }) => image.id));
    const [first, second] = [await ids(0), await ids(1)];
    expect([...first].sort((a, b) => a - b)).toEqual(dataset.images.map(({ id }) => id));
    expect(second).not.toEqual(first);
  });

  test("goes on in the middle of an epoch as if it had never stopped", async () => {
    const whole = await batchesOf({}, 3);
    expect(fingerprint(await batchesOf({}, 3, 1))).toEqual(fingerprint(whole.slice(1)));
  });

  test("pads to the divisor with zeros, and keeps boxes inside the picture", async () => {
    for (const { shape, samples, pixels } of await batchesOf({})) {
      const [n, channels, height, width] = shape;
      expect([n, channels, height % 32, width % 32]).toEqual([samples.length, 3, 0, 0]);
      for (const [i, sample] of samples.entries()) {
        for (let k = 0; k < sample.boxes.length; k += 4) {
          const [x1, y1, x2, y2] = sample.boxes.subarray(k, k + 4) as unknown as [
            number,
            number,
            number,
            number,
          ];
          expect(x1).toBeGreaterThanOrEqual(0);
          expect(y1).toBeGreaterThanOrEqual(0);
          expect(x2).toBeLessThanOrEqual(sample.width + 1e-3);
          expect(y2).toBeLessThanOrEqual(sample.height + 1e-3);
          expect(x2 - x1).toBeGreaterThan(0);
        }
        if (sample.width < width) expect(pixels[i * 3 * height * width + width - 1]).toBe(0);
      }
    }
  });

  test("batches wide pictures with wide ones", async () => {
    const tall = join(folder, "tall.png");
    await sharp({ create: { width: 64, height: 96, channels: 3, background: "red" } })
      .png()
      .toFile(tall);
    const mixed = {
      ...dataset,
      images: dataset.images.map((image, i) =>
        i % 2 === 0 ? image : { ...image, file: tall, width: 64, height: 96 },
      ),
    };
    const loader = new DataLoader(mixed, { batchSize: 2, groupByAspect: true, transforms });
    const kinds: number[] = [];
    for await (const { samples } of loader.epoch(0))
      kinds.push(new Set(samples.map(({ image }) => image.width >= image.height)).size);
    // Five of each: the two that are left over share a batch.
    expect(kinds.filter((count) => count > 1).length).toBeLessThanOrEqual(1);
  });

  test("skips a broken picture by name, or fails on it", async () => {
    const broken = join(folder, "broken.jpg");
    writeFileSync(broken, "not a picture");
    const [first, ...others] = dataset.images as [
      DetectionDataset["images"][number],
      ...DetectionDataset["images"],
    ];
    const images = [{ ...first, file: broken }, ...others.slice(0, 3)];
    for (const workers of [0, 1]) {
      const skipping = new DataLoader({ ...dataset, images }, { batchSize: 4, transforms, workers });
      const seen: Batch[] = [];
      for await (const batch of skipping.epoch(0)) seen.push(batch);
      await skipping.close();
      expect(seen[0]?.samples.length).toBe(3);
      expect(seen[0]?.skipped).toEqual([{ file: broken, reason: expect.stringContaining(broken) }]);
      const failing = new DataLoader(
        { ...dataset, images },
        { batchSize: 4, transforms, workers, onBroken: "fail" },
      );
      await expect(failing.epoch(0).next()).rejects.toMatchObject({
        code: "FILE",
        message: expect.stringContaining(broken),
      });
      await failing.close();
    }
  });

  test("ends cleanly when left early", async () => {
    const loader = new DataLoader(dataset, { batchSize: 2, transforms, workers: 2 });
    for await (const batch of loader.epoch(0)) {
      expect(batch.samples.length).toBe(2);
      break;
    }
    await loader.close();
    await loader.close();
  });

  test("refuses a data set without pictures that have objects", () => {
    const empty = { ...dataset, images: dataset.images.map((image) => ({ ...image, objects: [] })) };
    expect(() => new DataLoader(empty, { batchSize: 2, transforms, filterEmpty: true })).toThrow(
      /pictures with objects/,
    );
  });
});
