import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { DataLoader, type LoaderOptions } from "../../src/data/loader.js";
import { openDataset } from "../../src/data/open.js";
import { RandomStream } from "../../src/data/random.js";
import { synthesize } from "../../src/data/synth/synthesize.js";
import { planSample } from "../../src/data/transforms/geometry.js";
import type { TransformConfig } from "../../src/data/transforms/pipeline.js";
import type { Batch, DetectionDataset, LabelledObject, Sample } from "../../src/data/types.js";
import { WorkerPool } from "../../src/data/workerPool.js";

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
    // What was under way for the epoch that was left does no harm to the next.
    const again: Batch[] = [];
    for await (const batch of loader.epoch(0)) again.push(batch);
    expect(again.length).toBe(5);
    await loader.close();
    await loader.close();
    await expect(loader.epoch(1).next()).rejects.toThrow(/it is closed/);
  });

  test("does not keep the process alive when it is neither closed nor read to the end", async () => {
    const dist = new URL("../../dist/data/", import.meta.url);
    const script = `
      const { DataLoader } = await import(${JSON.stringify(new URL("loader.js", dist).href)});
      const { openDataset } = await import(${JSON.stringify(new URL("open.js", dist).href)});
      const dataset = await openDataset(${JSON.stringify(folder)}, { split: "train" });
      const loader = new DataLoader(dataset, { batchSize: 2, workers: 2, transforms: ${JSON.stringify(transforms)} });
      for await (const batch of loader.epoch(0)) { console.log(batch.samples.length); break; }`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      timeout: 20_000,
    });
    expect(stdout.trim()).toBe("2");
  });

  test("closing fails an epoch that is under way, instead of leaving it to wait for ever", async () => {
    const loader = new DataLoader(dataset, { batchSize: 2, transforms, workers: 1 });
    const first = loader.epoch(0).next();
    await loader.close();
    await expect(first).rejects.toThrow(/closed/);
  });

  test("says so when a thread dies", async () => {
    const pool = new WorkerPool<unknown, unknown>("worker", 1);
    // A request that the thread cannot even answer with an error kills it.
    await expect(pool.request(null)).rejects.toThrow(/.+/);
    await pool.close();
    const dead = new WorkerPool<unknown, unknown>("no such worker", 1);
    await expect(dead.request({})).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(/a thread that reads pictures died: .*no such worker/),
    });
    await expect(dead.request({})).rejects.toThrow(/died/);
    await dead.close();
  });

  test("makes no more batches ahead than it was told", async () => {
    const loader = new DataLoader(dataset, { batchSize: 1, transforms, workers: 1, prefetch: 2 });
    const asked = vi.spyOn(WorkerPool.prototype, "request");
    const epoch = loader.epoch(0);
    await epoch.next();
    expect(asked.mock.calls.length).toBeLessThanOrEqual(3);
    await epoch.next();
    expect(asked.mock.calls.length).toBeLessThanOrEqual(4);
    asked.mockRestore();
    await loader.close();
  });

  test("hands out the data set's own records", async () => {
    const own = new Set(dataset.images);
    for (const { samples } of await batchesOf({ workers: 1 }))
      expect(samples.every(({ image }) => own.has(image))).toBe(true);
  });

  test("refuses pictures of another size than the annotations say: their boxes would be wrong", async () => {
    const images = dataset.images.map((image, i) => (i === 0 ? { ...image, width: 64, height: 96 } : image));
    const loader = new DataLoader({ ...dataset, images }, { batchSize: 10, transforms });
    const { value } = await loader.epoch(0).next();
    expect((value as Batch).samples.length).toBe(9);
    expect((value as Batch).skipped).toEqual([
      {
        file: images[0]?.file,
        reason: expect.stringMatching(/96x64 pixels, its annotations say 64x96 .*EXIF/),
      },
    ]);
  });

  test("says at once when none of the pictures is there", () => {
    const images = dataset.images.map((image) => ({ ...image, file: `${image.file}.gone` }));
    expect(() => new DataLoader({ ...dataset, images }, { batchSize: 2, transforms })).toThrow(
      /none of its pictures is there: expected .*png\.gone/,
    );
  });

  test("refuses a data set without pictures that have objects", () => {
    const empty = { ...dataset, images: dataset.images.map((image) => ({ ...image, objects: [] })) };
    expect(() => new DataLoader(empty, { batchSize: 2, transforms, filterEmpty: true })).toThrow(
      /pictures with objects/,
    );
  });

  test.each([
    [{ batchSize: 0 }, /batchSize: expected a whole number from 1, got 0/],
    [{ workers: -1 }, /workers/],
    [{ prefetch: 0 }, /prefetch/],
    [{ transforms: { ...transforms, flip: 2 } }, /flip: expected a probability/],
    [{ transforms: { ...transforms, scales: [] } }, /scales: expected pairs/],
    [{ transforms: { ...transforms, std: [1, 0, 1] } }, /std: expected three positive/],
    [{ transforms: { ...transforms, sizeDivisor: 0 } }, /sizeDivisor/],
  ] as const)("refuses %j", (options, message) => {
    expect(() => new DataLoader(dataset, { batchSize: 2, transforms, ...(options as object) })).toThrow(
      message,
    );
  });
});

test("pictures halved by the decoder look the same, at the same size and with the same boxes", async () => {
  const out = join(folder, "large");
  await synthesize({
    out,
    images: 2,
    width: 320,
    height: 240,
    min: 40,
    format: "jpeg",
    splits: { train: 1 },
  });
  const large = await openDataset(out, { split: "train" });
  const scales = [[101, 76]] as const;
  const plain: TransformConfig = { ...transforms, scales, crop: 0, photometric: 0, flip: 0.5 };
  const first = async (shrinkOnLoad: boolean): Promise<Batch> => {
    const loader = new DataLoader(large, { batchSize: 2, transforms: { ...plain, shrinkOnLoad } });
    const { value } = await loader.epoch(0).next();
    return value as Batch;
  };
  const [whole, halved] = [await first(false), await first(true)];
  expect(halved.shape).toEqual(whole.shape);
  expect(halved.samples).toEqual(whole.samples);
  const differences = whole.pixels.map((value, i) => Math.abs(value - (halved.pixels[i] as number)));
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length;
  expect(mean).toBeGreaterThan(0);
  // Of a standard deviation of 60 levels: a few levels, from the texture's smoothing.
  expect(mean).toBeLessThan(0.15);
});

describe("a sample", () => {
  const plain: TransformConfig = { ...transforms, scales: [[192, 128]], flip: 0, crop: 0, photometric: 0 };
  const record = (objects: readonly LabelledObject[]): DetectionDataset["images"][number] => ({
    id: 1,
    file: "none",
    width: 96,
    height: 64,
    objects,
  });
  const object = (box: readonly [number, number, number, number], crowd = false): LabelledObject => ({
    id: 1,
    box,
    label: 3,
    crowd,
    area: 1,
  });
  const planned = (objects: readonly LabelledObject[], config: Partial<TransformConfig> = {}, key = 0) =>
    planSample(record(objects), { ...plain, ...config }, new RandomStream(key)).sample;

  test("has boxes in resized pixels, crowds apart", () => {
    const sample = planned([object([10, 20, 30, 40]), object([1, 2, 3, 4], true)]);
    expect([...sample.boxes]).toEqual([20, 40, 60, 80]);
    expect([...sample.labels]).toEqual([3]);
    expect([...sample.crowdBoxes]).toEqual([2, 4, 6, 8]);
    expect(sample).toMatchObject({ width: 192, height: 128, scaleX: 2, scaleY: 2, flipped: false });
  });

  test("mirrors boxes with the picture", () => {
    expect([...planned([object([10, 20, 30, 40])], { flip: 1 }).boxes]).toEqual([132, 40, 172, 80]);
  });

  test("clips boxes to the picture, and drops those with a side under a pixel", () => {
    const objects = [object([-10, -10, 500, 500]), object([5, 5, 5.5, 50]), object([100, 0, 120, 9])];
    expect([...planned(objects).boxes]).toEqual([0, 0, 192, 128]);
  });

  test("stretches to the pair where the ratio need not stay", () => {
    const sample = planned([object([0, 0, 48, 32])], { keepRatio: false, scales: [[96, 128]] });
    expect(sample).toMatchObject({ width: 96, height: 128, scaleX: 1, scaleY: 2 });
    expect([...sample.boxes]).toEqual([0, 0, 48, 64]);
  });

  test("draws one of several sizes, or any between two", () => {
    const scales = [
      [96, 64],
      [192, 128],
    ] as const;
    const widths = (draw: "value" | "range"): Set<number> =>
      new Set(Array.from({ length: 60 }, (_, key) => planned([], { scales, draw }, key).width));
    expect(widths("value")).toEqual(new Set([96, 192]));
    expect(widths("range").size).toBeGreaterThan(20);
    for (const width of widths("range")) expect(width >= 96 && width <= 192).toBe(true);
  });

  test("keeps its boxes on their objects through crop, resize and mirror", async () => {
    // One white rectangle on black: its box can be found again in the pixels.
    const file = join(folder, "rectangle.png");
    const white = await sharp({ create: { width: 24, height: 20, channels: 3, background: "white" } })
      .png()
      .toBuffer();
    await sharp({ create: { width: 96, height: 64, channels: 3, background: "black" } })
      .composite([{ input: white, left: 30, top: 22 }])
      .png()
      .toFile(file);
    const image = { ...record([object([30, 22, 54, 42])]), file };
    const config: TransformConfig = { ...plain, flip: 0.5, crop: 1, mean: [0, 0, 0], std: [1, 1, 1] };
    const loader = new DataLoader({ ...dataset, images: [image] }, { batchSize: 1, transforms: config });
    let flips = 0;
    for (let epoch = 0; epoch < 24; epoch++) {
      for await (const { samples, pixels, shape } of loader.epoch(epoch)) {
        const [sample] = samples as [Sample];
        flips += Number(sample.flipped);
        const [, , height, width] = shape;
        const found = [width, height, 0, 0];
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++) {
            if ((pixels[y * width + x] as number) < 128) continue;
            found[0] = Math.min(found[0] as number, x);
            found[1] = Math.min(found[1] as number, y);
            found[2] = Math.max(found[2] as number, x + 1);
            found[3] = Math.max(found[3] as number, y + 1);
          }
        for (const [i, side] of sample.boxes.entries())
          expect(Math.abs(side - (found[i] as number))).toBeLessThanOrEqual(1);
      }
    }
    expect(flips).toBeGreaterThan(3);
    expect(flips).toBeLessThan(21);
  });
});
