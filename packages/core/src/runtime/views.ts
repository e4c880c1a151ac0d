import type { MapView, OffsetView } from "../spec.js";
import type { TensorData } from "./session.js";

/** One number for each cell of a level. */
export interface HeatMap {
  /** Row by row. */
  readonly values: Float32Array;
  readonly width: number;
  readonly height: number;
  readonly least: number;
  readonly most: number;
}

/** A point in pixels of the network's input; the first pixel's corner is 0, its centre 0.5. */
export interface InputPoint {
  readonly x: number;
  readonly y: number;
}

/** Where one tap of a kernel reads. */
export interface Tap {
  /** Without offset. */
  readonly regular: InputPoint;
  /** With it. */
  readonly moved: InputPoint;
}

/** Height and width of the network's input in pixels. */
type InputSize = readonly [height: number, width: number];

const sizeOf = ({ dims }: TensorData): [channels: number, height: number, width: number] =>
  dims.slice(1) as [number, number, number];

/**
 * A map [N, C, H, W] of the first picture as one number for each cell.
 * @param channel its values; unless told the mean of all channels' absolute values
 * @throws RangeError when there is no such channel
 */
export function heatMap(map: TensorData, channel?: number): HeatMap {
  const [channels, height, width] = sizeOf(map);
  if (channel !== undefined && !(Number.isInteger(channel) && channel >= 0 && channel < channels))
    throw new RangeError(`expected a channel from 0 to ${channels - 1}, got ${channel}`);
  const size = height * width;
  const data = map.data as Float32Array;
  const values = new Float32Array(size);
  const chosen = channel === undefined ? Array.from({ length: channels }, (_, c) => c) : [channel];
  for (const c of chosen)
    for (let cell = 0, at = c * size; cell < size; cell++, at++) {
      const value = data[at] as number;
      values[cell] = (values[cell] as number) + (channel === undefined ? Math.abs(value) / channels : value);
    }
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return { values, width, height, least, most };
}

/** Cells of padding that a map lost on each side: 1 for a 3×3 kernel without padding. */
function lost(cells: number, pixels: number, stride: number): number {
  return (Math.ceil(pixels / stride) - cells) / 2;
}

/** Where a map lies over the input: its corner and size in pixels of the input. */
export function mapExtent(
  { stride }: MapView,
  { width, height }: Pick<HeatMap, "width" | "height">,
  [inputHeight, inputWidth]: InputSize,
): { readonly x: number; readonly y: number; readonly width: number; readonly height: number } {
  return {
    x: lost(width, inputWidth, stride) * stride,
    y: lost(height, inputHeight, stride) * stride,
    width: width * stride,
    height: height * stride,
  };
}

/** The cell of a map over a point, the nearest for a point beside it. */
export function cellAt(
  { stride }: MapView,
  { dims }: Pick<TensorData, "dims">,
  { x, y }: InputPoint,
  [inputHeight, inputWidth]: InputSize,
): { readonly row: number; readonly column: number } {
  const [height, width] = dims.slice(2) as [number, number];
  const place = (at: number, cells: number, pixels: number): number =>
    Math.min(Math.max(Math.floor(at / stride - lost(cells, pixels, stride)), 0), cells - 1);
  return { row: place(y, height, inputHeight), column: place(x, width, inputWidth) };
}

/**
 * Where a deformable kernel reads for one cell of its output: k·k taps, row by row. A kernel's middle tap lies, without
 * offset, over cell (row, column)·stride of the map that it reads.
 * @param offsets [N, 2·k·k, H, W], (y, x) of each tap in cells of that map
 * @throws RangeError when the cell is outside the map
 */
export function samplingPoints(
  view: OffsetView,
  offsets: TensorData,
  { row, column }: { readonly row: number; readonly column: number },
  [inputHeight, inputWidth]: InputSize,
): Tap[] {
  const [, height, width] = sizeOf(offsets);
  if (!(row >= 0 && row < height && column >= 0 && column < width))
    throw new RangeError(`expected a cell inside ${height}×${width}, got row ${row}, column ${column}`);
  const { stride, readStride, kernelSize } = view;
  const step = stride / readStride;
  const middle = (kernelSize - 1) / 2;
  const top = (row + lost(height, inputHeight, stride)) * step - middle;
  const left = (column + lost(width, inputWidth, stride)) * step - middle;
  const data = offsets.data as Float32Array;
  const offset = (plane: number): number => data[(plane * height + row) * width + column] as number;
  const point = (x: number, y: number): InputPoint => ({
    x: (x + 0.5) * readStride,
    y: (y + 0.5) * readStride,
  });
  return Array.from({ length: kernelSize * kernelSize }, (_, tap) => {
    const [y, x] = [top + Math.floor(tap / kernelSize), left + (tap % kernelSize)];
    return { regular: point(x, y), moved: point(x + offset(2 * tap + 1), y + offset(2 * tap)) };
  });
}
