import { open, readFile } from "node:fs/promises";
import type { RgbImage } from "@sepc/core";
import sharp, { type Sharp } from "sharp";
import { decodeBmp, isBmp, readBmpHead } from "./bmp.js";
import { EngineError } from "./errors.js";

/** A picture from a file: its size is that in the file, unless the decoder was told to make it smaller. */
export interface DecodedImage extends RgbImage {
  readonly originalWidth: number;
  readonly originalHeight: number;
}

export interface DecodeOptions {
  /** Larger pictures are refused: a small file may claim any size. 2^28 unless told. */
  readonly maxPixels?: number | undefined;
  /** Makes sides this many times smaller, rounded up; JPEG's decoder then has less to do. 1 unless told. */
  readonly shrink?: number | undefined;
}

interface Raw {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

async function rawOf(image: Sharp): Promise<Raw> {
  const { data, info } = await image
    .autoOrient()
    .flatten({ background: "white" })
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

async function decode(source: string | Uint8Array, maxPixels: number, shrink: number): Promise<DecodedImage> {
  const input = { limitInputPixels: maxPixels, failOn: "error" as const, ignoreIcc: true };
  const image = sharp(source, input);
  if (shrink === 1) {
    const raw = await rawOf(image);
    return { ...threeChannels(raw), originalWidth: raw.width, originalHeight: raw.height };
  }
  const { autoOrient } = await image.metadata();
  const { width, height } = autoOrient;
  const [smallWidth, smallHeight] = [Math.ceil(width / shrink), Math.ceil(height / shrink)];
  const small = sharp(source, input).resize(smallWidth, smallHeight, {
    fit: "fill",
    kernel: "linear",
    fastShrinkOnLoad: true,
  });
  return { ...threeChannels(await rawOf(small)), originalWidth: width, originalHeight: height };
}

/** The first bytes of a file, or of what is in memory. */
async function headOf(source: string | Uint8Array): Promise<Uint8Array> {
  if (typeof source !== "string") return source.subarray(0, 128);
  const file = await open(source);
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(128), 0, 128, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Whether it is the one format that sharp lacks; false also where it cannot be read, which sharp words better. */
async function isBmpSource(source: string | Uint8Array): Promise<boolean> {
  if (typeof source === "string" && !/\.(bmp|dib)$/i.test(source)) return false;
  return headOf(source).then(isBmp, () => false);
}

async function decodeAny(
  source: string | Uint8Array,
  maxPixels: number,
  shrink: number,
): Promise<DecodedImage> {
  if (!(await isBmpSource(source))) return decode(source, maxPixels, shrink);
  const image = decodeBmp(typeof source === "string" ? await readFile(source) : source, maxPixels);
  return { ...image, originalWidth: image.width, originalHeight: image.height };
}

/** Grey as red, green and blue; what is there beyond three channels falls away. */
function threeChannels({ data, width, height, channels }: Raw): RgbImage {
  if (channels === 3) return { data, width, height };
  const pixels = width * height;
  const out = new Uint8Array(pixels * 3);
  const last = channels < 3 ? 0 : 2;
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) out[3 * i + c] = data[channels * i + Math.min(c, last)] as number;
  }
  return { data: out, width, height };
}

/**
 * Reads a picture: BMP and any format that sharp knows, turned as its EXIF orientation says, made 8 bit RGB whatever it was
 * (greyscale, CMYK, 16 bit); what is transparent becomes white. Of moving pictures, the first. Colour profiles are left
 * aside, as OpenCV and PIL leave them: a detector trained with one sees the same pixels with the other.
 * @throws EngineError FILE naming the file and what is wrong with it.
 */
export async function decodeImage(
  source: string | Uint8Array,
  { maxPixels = 2 ** 28, shrink = 1 }: DecodeOptions = {},
): Promise<DecodedImage> {
  try {
    return await decodeAny(source, maxPixels, shrink);
  } catch (cause) {
    const name = typeof source === "string" ? source : "picture in memory";
    // Libraries below may tell the same thing twice, a line each.
    const [reason = "unknown"] = (cause as Error).message.split("\n");
    throw new EngineError("FILE", `${name}: cannot be read as a picture: ${reason}`, { cause });
  }
}

/** Width and height as {@link decodeImage} would give them, from the head of the file alone. */
export async function readImageSize(source: string): Promise<{ width: number; height: number }> {
  try {
    if (await isBmpSource(source)) {
      const { width, height } = readBmpHead(await headOf(source));
      return { width, height };
    }
    const { autoOrient } = await sharp(source).metadata();
    return { width: autoOrient.width, height: autoOrient.height };
  } catch (cause) {
    throw new EngineError("FILE", `${source}: cannot be read as a picture: ${(cause as Error).message}`, {
      cause,
    });
  }
}
