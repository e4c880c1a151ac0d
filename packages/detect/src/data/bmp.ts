/** What a BMP file's head says (Microsoft's BITMAPINFOHEADER and its successors). */
interface BmpHead {
  readonly width: number;
  readonly height: number;
  /** Rows from the top, instead of from the bottom. */
  readonly isTopDown: boolean;
  readonly bitsPerPixel: number;
  readonly pixelsAt: number;
  readonly paletteAt: number;
  readonly colours: number;
}

export const isBmp = (bytes: Uint8Array): boolean => bytes[0] === 0x42 && bytes[1] === 0x4d;

/** Compressions: none, and masks of colours, which are those of plain 32 bits in all files met. */
const [plain, masks] = [0, 3];
const plainMasks = [0xff0000, 0xff00, 0xff];

/** @throws Error saying what is wrong with the file, or not supported */
export function readBmpHead(bytes: Uint8Array): BmpHead {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 54) throw new Error("the BMP file ends in its head");
  const headSize = view.getUint32(14, true);
  if (headSize < 40) throw new Error("a BMP file of OS/2; save it as PNG");
  const [width, height] = [view.getInt32(18, true), view.getInt32(22, true)];
  const bitsPerPixel = view.getUint16(28, true);
  const compression = view.getUint32(30, true);
  const found = [0, 1, 2].map((i) => (bytes.length < 66 ? 0 : view.getUint32(54 + 4 * i, true)));
  const isPlain = compression === plain || (compression === masks && found.join() === plainMasks.join());
  if (!isPlain || ![1, 4, 8, 24, 32].includes(bitsPerPixel))
    throw new Error(`a BMP file of ${bitsPerPixel} bits and compression ${compression}; save it as PNG`);
  if (width <= 0 || height === 0) throw new Error(`a BMP file of ${width}x${height} pixels`);
  return {
    width,
    height: Math.abs(height),
    isTopDown: height < 0,
    bitsPerPixel,
    pixelsAt: view.getUint32(10, true),
    paletteAt: 14 + headSize,
    colours: view.getUint32(46, true) || 2 ** Math.min(bitsPerPixel, 8),
  };
}

/** A row of places in the palette as red, green, blue. */
function fillFromPalette(
  bytes: Uint8Array,
  head: BmpHead,
  row: number,
  out: Uint8Array,
  start: number,
): void {
  const { width, bitsPerPixel: bits, paletteAt, colours } = head;
  for (let x = 0; x < width; x++) {
    const byte = bytes[row + ((x * bits) >> 3)] as number;
    const place = (byte >> (8 - bits - ((x * bits) & 7))) & (2 ** bits - 1);
    const from = paletteAt + 4 * Math.min(place, colours - 1);
    for (let c = 0; c < 3; c++) out[start + 3 * x + c] = bytes[from + 2 - c] as number;
  }
}

/**
 * Reads an uncompressed BMP of 1, 4, 8, 24 or 32 bits, which the library for all other formats does not know.
 * Transparency is left aside: few programs mean it.
 * @throws Error saying what is wrong with the file, or not supported
 */
export function decodeBmp(
  bytes: Uint8Array,
  maxPixels: number,
): { data: Uint8Array; width: number; height: number } {
  const head = readBmpHead(bytes);
  const { width, height, bitsPerPixel, isTopDown, pixelsAt } = head;
  if (width * height > maxPixels)
    throw new Error(`${width}x${height} exceeds the limit of ${maxPixels} pixels`);
  const stride = Math.ceil((width * bitsPerPixel) / 32) * 4;
  if (pixelsAt + stride * height > bytes.length) throw new Error("the BMP file ends before its last row");
  const out = new Uint8Array(width * height * 3);
  const step = bitsPerPixel >> 3;
  for (let y = 0; y < height; y++) {
    const row = pixelsAt + (isTopDown ? y : height - 1 - y) * stride;
    const start = y * width * 3;
    if (bitsPerPixel <= 8) fillFromPalette(bytes, head, row, out, start);
    else {
      for (let x = 0; x < width; x++) {
        for (let c = 0; c < 3; c++) out[start + 3 * x + c] = bytes[row + step * x + 2 - c] as number;
      }
    }
  }
  return { data: out, width, height };
}
