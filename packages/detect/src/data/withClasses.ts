import { EngineError } from "./errors.js";
import type { DetectionDataset } from "./types.js";

/**
 * A data set whose labels count in the order of these class names; objects of other classes are left out.
 * @throws EngineError BAD_ARGUMENT when it has classes, and none of them is among these
 */
export function withClasses(dataset: DetectionDataset, classes: readonly string[]): DetectionDataset {
  const place = new Map(classes.map((name, label) => [name, label]));
  const to = dataset.categories.map(({ name }) => place.get(name));
  if (to.length > 0 && to.every((label) => label === undefined)) {
    const some = (names: readonly string[]): string =>
      names.length > 6 ? `${names.slice(0, 6).join(", ")} ...` : names.join(", ");
    throw new EngineError(
      "BAD_ARGUMENT",
      `data set ${dataset.name}: its classes are ${some(dataset.categories.map(({ name }) => name))}; ` +
        `none of them is among those asked for: ${some(classes)}`,
    );
  }
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
