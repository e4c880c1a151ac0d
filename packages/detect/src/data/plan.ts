import { RandomStream } from "./random.js";
import type { DetectionDataset } from "./types.js";

export interface PlanConfig {
  readonly batchSize: number;
  readonly shuffle: boolean;
  readonly seed: number;
  /** Wide pictures with wide ones and tall with tall: less padding. */
  readonly groupByAspect: boolean;
}

/** Which pictures make up each batch of an epoch: places in `dataset.images`. Depends on its arguments alone. */
export function planEpoch(dataset: DetectionDataset, config: PlanConfig, epoch: number): number[][] {
  const { batchSize, shuffle, seed, groupByAspect } = config;
  const random = new RandomStream(seed, epoch, 1);
  const all = dataset.images.map((_, i) => i);
  const order = shuffle ? random.shuffled(all) : all;
  const isWide = (i: number): boolean => {
    const { width = 1, height = 1 } = dataset.images[i] ?? {};
    return width >= height;
  };
  const groups = groupByAspect ? [order.filter(isWide), order.filter((i) => !isWide(i))] : [order];
  const batches: number[][] = [];
  const left: number[] = [];
  for (const group of groups) {
    const whole = Math.floor(group.length / batchSize) * batchSize;
    for (let first = 0; first < whole; first += batchSize)
      batches.push(group.slice(first, first + batchSize));
    left.push(...group.slice(whole));
  }
  for (let first = 0; first < left.length; first += batchSize)
    batches.push(left.slice(first, first + batchSize));
  return shuffle ? random.shuffled(batches) : batches;
}
