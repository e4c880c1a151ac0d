import { type Box, extraPixel } from "./boxes.js";
import { type BoxCoder, decodeDelta, decodeTblr } from "./coders.js";
import { nms, softNms } from "./nms.js";
import { type AnchorPriors, baseAnchors, type LevelSize, type PriorSpec, priorsPerCell } from "./priors.js";

/** How a network's raw outputs become boxes: plain data, written into exported models. */
export interface DecodeSpec {
  readonly priors: PriorSpec;
  readonly coder: BoxCoder;
  /** Cells by which each map is smaller than its level; 2 for the official SEPC weights, else 0. */
  readonly cut?: number | undefined;
  /** Whether boxes are in mmdetection 1.x's convention. */
  readonly legacyBoxes?: boolean | undefined;
  /** Clips to the picture's edge, where that convention has its last pixel (RepPoints). */
  readonly clipToEdge?: boolean | undefined;
  readonly postprocess: Postprocess;
}

/** Pixels by which boxes end before the picture does. */
export const clipMargin = (spec: DecodeSpec): 0 | 1 => (spec.clipToEdge ? 0 : extraPixel(spec));

/** Choices that may be made anew for each call. */
export interface Postprocess {
  /** Priors taken from each level before all else, those with the best class score. */
  readonly perLevel: number;
  /** Least score of a class (0-1). */
  readonly scoreThreshold: number;
  /** Overlap from which the worse of two boxes of one class goes (0-1). */
  readonly iouThreshold: number;
  /** Most objects of one image. */
  readonly maxPerImage: number;
  readonly suppression?: "hard" | "softLinear" | "softGaussian" | undefined;
}

/** What is left of a network's output for one image before boxes are made: K priors. */
export interface Candidates {
  /** `[K, C]`, 0-1. */
  readonly scores: Float32Array;
  /** `[K, 4]` as the network gave them, for the coder. */
  readonly boxes: Float32Array;
  /** `[K]` places among the priors of all levels, level by level. */
  readonly priors: Int32Array;
  /** `[K]` what multiplies scores after the threshold: FCOS's centre-ness. */
  readonly factors?: Float32Array | undefined;
  readonly classes: number;
}

/** How the network's picture lies in the original one. */
export interface Frame {
  /** Pixels of the network's input that show the picture, without padding. */
  readonly inputWidth: number;
  readonly inputHeight: number;
  /** Input pixels for one of the original. */
  readonly scaleX: number;
  readonly scaleY: number;
}

export interface Detection {
  /** Pixels of the original picture. */
  readonly box: Box;
  /** Place in the list of classes, from 0. */
  readonly label: number;
  /** 0-1 */
  readonly score: number;
}

/** Finds the level, cell and kind of a prior by its place. */
class PriorIndex {
  readonly #firsts: number[] = [];
  readonly #perCell: number;
  readonly #bases: Float32Array[];

  constructor(
    readonly spec: PriorSpec,
    readonly sizes: readonly LevelSize[],
  ) {
    this.#perCell = priorsPerCell(spec);
    let first = 0;
    for (const [height, width] of sizes) {
      this.#firsts.push(first);
      first += height * width * this.#perCell;
    }
    this.#bases = spec.kind === "anchors" ? sizes.map((_, level) => baseAnchors(spec, level)) : [];
  }

  #cell(place: number): { level: number; x: number; y: number; kind: number; stride: number } {
    let level = this.#firsts.length - 1;
    while (level > 0 && place < (this.#firsts[level] as number)) level--;
    const local = place - (this.#firsts[level] as number);
    const cell = Math.floor(local / this.#perCell);
    const width = (this.sizes[level] as LevelSize)[1];
    const stride = this.spec.strides[level] as number;
    return { level, x: cell % width, y: Math.floor(cell / width), kind: local % this.#perCell, stride };
  }

  anchor(place: number): [number, number, number, number] {
    const { level, x, y, kind, stride } = this.#cell(place);
    const base = (this.#bases[level] as Float32Array).subarray(4 * kind, 4 * kind + 4);
    const [x1, y1, x2, y2] = base as unknown as [number, number, number, number];
    return [x1 + x * stride, y1 + y * stride, x2 + x * stride, y2 + y * stride];
  }

  point(place: number): [number, number] {
    const { x, y, stride } = this.#cell(place);
    const { offset } = this.spec as Exclude<PriorSpec, AnchorPriors>;
    return [(x + offset) * stride, (y + offset) * stride];
  }
}

function decodeRow(spec: DecodeSpec, index: PriorIndex, candidates: Candidates, row: number): number[] {
  const { coder } = spec;
  const place = candidates.priors[row] as number;
  if (coder.kind === "delta") return decodeDelta(coder, candidates.boxes, 4 * row, index.anchor(place));
  if (coder.kind === "tblr") return decodeTblr(coder, candidates.boxes, 4 * row, index.anchor(place));
  const [x, y] = index.point(place);
  const [left, top, right, bottom] = candidates.boxes.subarray(4 * row, 4 * row + 4) as unknown as Box;
  return [x - left, y - top, x + right, y + bottom];
}

/** Boxes of all candidates in original pixels, `[K, 4]`, clipped to the picture. */
function decodeBoxes(
  spec: DecodeSpec,
  sizes: readonly LevelSize[],
  candidates: Candidates,
  frame: Frame,
): Float32Array {
  const index = new PriorIndex(spec.priors, sizes);
  const extra = clipMargin(spec);
  const limits = [frame.inputWidth - extra, frame.inputHeight - extra] as const;
  const scales = [frame.scaleX, frame.scaleY] as const;
  const out = new Float32Array(candidates.boxes.length);
  for (let row = 0; row < candidates.priors.length; row++) {
    const box = decodeRow(spec, index, candidates, row);
    for (let i = 0; i < 4; i++) {
      const inside = Math.min(Math.max(box[i] as number, 0), limits[i % 2] as number);
      out[4 * row + i] = inside / (scales[i % 2] as number);
    }
  }
  return out;
}

/** Rows whose score of that class passes the threshold. */
function rowsOfClass({ scores, classes, priors }: Candidates, label: number, threshold: number): number[] {
  const rows: number[] = [];
  for (let row = 0; row < priors.length; row++)
    if ((scores[row * classes + label] as number) > threshold) rows.push(row);
  return rows;
}

function suppress(
  boxes: Float32Array,
  scores: Float32Array,
  { suppression = "hard", iouThreshold, scoreThreshold }: Postprocess,
  legacyBoxes: boolean | undefined,
): { row: number; score: number }[] {
  if (suppression === "hard")
    return nms(boxes, scores, { iouThreshold, legacyBoxes }).map((row) => ({
      row,
      score: scores[row] as number,
    }));
  const method = suppression === "softLinear" ? "linear" : "gaussian";
  return softNms(boxes, scores, { iouThreshold, legacyBoxes, method, minScore: scoreThreshold });
}

/**
 * Candidates of one image -> objects, best first: boxes are decoded, clipped and brought to the original picture, then
 * suppressed class by class.
 * @param sizes of the levels' maps, finest first
 */
export function decode(
  spec: DecodeSpec,
  sizes: readonly LevelSize[],
  candidates: Candidates,
  frame: Frame,
  override: Partial<Postprocess> = {},
): Detection[] {
  const postprocess = { ...spec.postprocess, ...override };
  const boxes = decodeBoxes(spec, sizes, candidates, frame);
  const found: Detection[] = [];
  for (let label = 0; label < candidates.classes; label++) {
    const rows = rowsOfClass(candidates, label, postprocess.scoreThreshold);
    if (rows.length === 0) continue;
    const own = new Float32Array(rows.length * 4);
    for (const [i, row] of rows.entries()) own.set(boxes.subarray(4 * row, 4 * row + 4), 4 * i);
    const scores = Float32Array.from(
      rows,
      (row) =>
        (candidates.scores[row * candidates.classes + label] as number) * (candidates.factors?.[row] ?? 1),
    );
    for (const { row, score } of suppress(own, scores, postprocess, spec.legacyBoxes)) {
      found.push({ box: [...own.subarray(4 * row, 4 * row + 4)] as unknown as Box, label, score });
    }
  }
  return found.sort((a, b) => b.score - a.score).slice(0, postprocess.maxPerImage);
}
