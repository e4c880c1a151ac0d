import { decodeImage } from "../data/decode.js";
import { EngineError } from "../data/errors.js";
import type { DetectionDataset } from "../data/types.js";
import type { ImageDetections } from "../evaluation/dataset.js";
import type { Detector } from "./detector.js";

/**
 * Runs a detector over a data set, picture by picture in its order; the next one is decoded meanwhile. Labels are those of
 * the data set, by name. Unreadable pictures have none.
 * @param onPicture called after each
 */
export async function detectOver(
  detector: Detector,
  { images, categories }: Pick<DetectionDataset, "images" | "categories">,
  onPicture?: () => void,
): Promise<ImageDetections[]> {
  const labels = new Map(categories.map(({ name }, label) => [name, label]));
  const read = (i: number) => {
    const file = images[i]?.file;
    return file === undefined
      ? null
      : decodeImage(file).catch((error: unknown) => {
          if (error instanceof EngineError && error.code === "FILE") return null;
          throw error;
        });
  };
  const found: ImageDetections[] = [];
  let next = read(0);
  for (let i = 0; i < images.length; i++) {
    const picture = await next;
    next = read(i + 1);
    const objects = picture === null ? [] : await detector.detect(picture);
    const detections = objects.flatMap(({ box, score, name }) => {
      const label = labels.get(name);
      return label === undefined ? [] : [{ box, score, label }];
    });
    found.push({ image: i, detections });
    onPicture?.();
  }
  return found;
}
