import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { decodeImage } from "./decode.js";

/** A picture and the size that its annotations say. */
export interface PictureToCheck {
  readonly file: string;
  readonly width: number;
  readonly height: number;
}

export interface PictureState {
  readonly state: "good" | "missing image" | "broken image" | "other size than stated";
  readonly detail: string;
  /** SHA-256 of the file; null, it could not be read. */
  readonly hash: string | null;
}

/** Reads a picture whole: is it there, sound, and of the size that the annotations say? */
export async function checkPicture({ file, width, height }: PictureToCheck): Promise<PictureState> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return { state: "missing image", detail: "there is no such file", hash: null };
    return { state: "broken image", detail: message, hash: null };
  }
  const hash = createHash("sha256").update(bytes).digest("hex");
  try {
    const image = await decodeImage(bytes);
    if (image.width === width && image.height === height) return { state: "good", detail: "", hash };
    const turned = image.width === height && image.height === width;
    const detail =
      `${image.width}x${image.height}, the annotations say ${width}x${height}` +
      (turned ? "; the EXIF orientation turns it, and the annotations may not know" : "");
    return { state: "other size than stated", detail, hash };
  } catch (error) {
    const detail = (error as Error).message.replace(/^picture in memory: /, "");
    return { state: "broken image", detail, hash };
  }
}
