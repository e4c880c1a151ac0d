import type { DetectionDataset } from "./types.js";

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
