import { type RgbImage, resizeBilinear } from "@sepc/core";
import { decodeImage } from "../decode.js";
import { EngineError } from "../errors.js";
import { RandomStream } from "../random.js";
import type { TransformConfig } from "./config.js";
import { crop, type Window } from "./crop.js";
import { distort } from "./photometric.js";

export type { TransformConfig } from "./config.js";

/** One picture to read and change: plain data, so that any thread can do it. */
export interface PictureRequest {
  readonly file: string;
  /** Pixels that the annotations say; a file of another size is refused, since its boxes would be wrong. */
  readonly fromWidth: number;
  readonly fromHeight: number;
  readonly window: Window | null;
  readonly width: number;
  readonly height: number;
  readonly flipped: boolean;
  /** Of the random numbers that colours are distorted by; null, they stay. */
  readonly distortKeys: readonly number[] | null;
}

/** How often the decoder may halve a picture so that it is still as large as it is shown. */
function halvings({ window, fromWidth, fromHeight, width, height }: PictureRequest): number {
  if (window !== null) return 0;
  return Math.max(0, Math.min(3, Math.floor(Math.log2(Math.min(fromWidth / width, fromHeight / height)))));
}

/** Reads, crops, distorts and resizes one picture; mirroring is left to {@link collate}. */
export async function preparePicture(request: PictureRequest, config: TransformConfig): Promise<RgbImage> {
  const { file, fromWidth, fromHeight, window, width, height, distortKeys } = request;
  const shrink = config.shrinkOnLoad ? 2 ** halvings(request) : 1;
  const picture = await decodeImage(file, { shrink });
  const { originalWidth, originalHeight } = picture;
  if (originalWidth !== fromWidth || originalHeight !== fromHeight) {
    const turned = originalWidth === fromHeight && originalHeight === fromWidth;
    throw new EngineError(
      "FILE",
      `${file}: the picture has ${originalWidth}x${originalHeight} pixels, its annotations say ${fromWidth}x${fromHeight}` +
        `${turned ? " (its EXIF orientation turns it, and the annotations may not know)" : ""}; ` +
        "boxes would be wrong. `sepc data check` lists all such pictures",
    );
  }
  let image: RgbImage = picture;
  if (window !== null) image = crop(image, window);
  if (distortKeys !== null) image = distort(image, new RandomStream(...distortKeys));
  return resizeBilinear(image, width, height);
}
