/** 8 bit RGB, row by row: [H, W, 3]. */
export interface RgbImage {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** RGBA as a canvas gives it -> RGB; what is transparent becomes white. */
export function fromRgba({
  data,
  width,
  height,
}: {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}): RgbImage {
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < out.length; from += 4, to += 3) {
    const alpha = data[from + 3] as number;
    for (let c = 0; c < 3; c++) {
      const value = data[from + c] as number;
      out[to + c] = alpha === 255 ? value : Math.round((value * alpha) / 255 + 255 - alpha);
    }
  }
  return { data: out, width, height };
}
