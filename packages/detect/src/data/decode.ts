import { EngineError } from "@sepc/engine";
import sharp from "sharp";

/** 8 bit RGB, row by row: [H, W, 3]. */
export interface RgbImage {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface DecodeOptions {
  /** Larger pictures are refused: a small file may claim any size. 2^28 unless told. */
  readonly maxPixels?: number | undefined;
}

/**
 * Reads a picture: any format that sharp knows, turned as its EXIF orientation says, made 8 bit RGB whatever it was
 * (greyscale, CMYK, 16 bit); what is transparent becomes white.
 * @throws EngineError FILE naming the file and what is wrong with it.
 */
export async function decodeImage(
  source: string | Uint8Array,
  { maxPixels = 2 ** 28 }: DecodeOptions = {},
): Promise<RgbImage> {
  try {
    const { data, info } = await sharp(source, { limitInputPixels: maxPixels, failOn: "truncated" })
      .rotate()
      .flatten({ background: "white" })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    return { data: channels === 3 ? data : toThree(data, channels), width, height };
  } catch (cause) {
    const name = typeof source === "string" ? source : "picture in memory";
    throw new EngineError("FILE", `${name}: cannot be read as a picture: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function toThree(data: Uint8Array, channels: number): Uint8Array {
  const pixels = data.length / channels;
  const out = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) out[3 * i + c] = data[channels * i + Math.min(c, channels - 1)] as number;
  }
  return out;
}
