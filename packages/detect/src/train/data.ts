import type { TransformConfig } from "../data/transforms/pipeline.js";
import type { DetectionDataset } from "../data/types.js";
import type { RunConfig } from "./config.js";

/** A run's transforms in training. */
export function trainTransforms({ input }: RunConfig): TransformConfig {
  const { scales, draw, flip, crop, photometric, sizeDivisor, mean, std, channels } = input;
  return { scales, draw, flip, crop, photometric, sizeDivisor, mean, std, channels };
}

/** The same without what is random. */
export function testTransforms({ input }: RunConfig): TransformConfig {
  const { scales, testScale = scales[0] as [number, number], sizeDivisor, mean, std, channels } = input;
  return {
    scales: [testScale],
    draw: "value",
    flip: 0,
    crop: 0,
    photometric: 0,
    sizeDivisor,
    mean,
    std,
    channels,
  };
}

/** A data set whose labels count in the order of these class names; objects of other classes are left out. */
export function withClasses(dataset: DetectionDataset, classes: readonly string[]): DetectionDataset {
  const place = new Map(classes.map((name, label) => [name, label]));
  const to = dataset.categories.map(({ name }) => place.get(name));
  const images = dataset.images.map((image) => ({
    ...image,
    objects: image.objects.flatMap((object) => {
      const label = to[object.label];
      return label === undefined ? [] : [{ ...object, label }];
    }),
  }));
  const categories = classes.map((name, label) => {
    const own = dataset.categories.find((category) => category.name === name);
    return { id: own?.id ?? label + 1, name };
  });
  return { name: dataset.name, categories, images };
}
