// Post-processing of any detector's cases, in mmdetection 1.x's conventions.
import { type Candidates, type DecodeSpec, type Detection, decode, type LevelSize } from "@sepc/core";
import { fromTypedArray, type Tensor } from "@sepc/engine";
import type { LevelOutput } from "../models/heads/dense.js";
import { selectCandidates } from "../models/heads/select.js";
import { type Case, only } from "./case.js";

/** Height and width of each picture. */
export const pictures = (golden: Case): [number, number][] =>
  golden.setting<number[][]>("img_shapes").map(([height, width]) => [height as number, width as number]);

type Rows = Float32Array<ArrayBuffer>;

/** Rows `[K, W]` in another order. */
function reordered(rows: Rows, order: readonly number[]): Rows {
  const width = rows.length / order.length;
  const out = new Float32Array(rows.length);
  for (const [to, from] of order.entries())
    out.set(rows.subarray(from * width, (from + 1) * width), to * width);
  return out;
}

/**
 * Rows in mmdetection's order: best first in levels that had too many, as they come in the others.
 * @param places of the rows among the priors of all levels, level by level
 */
function officialOrder(places: Int32Array, counts: readonly number[], perLevel: number): number[] {
  let first = 0;
  return counts.flatMap((count) => {
    const rows = Array.from({ length: Math.min(count, perLevel) }, (_, i) => first + i);
    first += rows.length;
    return count > perLevel ? rows : rows.sort((a, b) => (places[a] as number) - (places[b] as number));
  });
}

/** The K candidates of picture `n`. */
export function candidatesOf(
  levels: Parameters<typeof selectCandidates>[0],
  perLevel: number,
  classes: number,
  n: number,
): Candidates {
  const { cls } = levels[0] as LevelOutput;
  const anchorsPerCell = (cls.shape[1] as number) / classes;
  const { scores, boxes, priors, factors, sizes } = selectCandidates(levels, { anchorsPerCell, perLevel });
  const places = priors.select(0, n).contiguous().toTypedArray() as BigInt64Array;
  const own = Int32Array.from(places, Number);
  const counts = sizes.map(([height, width]) => height * width * anchorsPerCell);
  const order = officialOrder(own, counts, perLevel);
  const floats = (x: Tensor): Rows => reordered(x.select(0, n).contiguous().toTypedArray() as Rows, order);
  return {
    scores: floats(scores),
    boxes: floats(boxes),
    priors: Int32Array.from(order, (row) => own[row] as number),
    factors: factors === null ? undefined : floats(factors),
    classes,
  };
}

interface TestConfig {
  readonly nms_pre?: number;
  readonly score_thr: number;
  readonly nms: { readonly iou_thr: number };
  readonly max_per_img: number;
}

/**
 * The case's settings of post-processing.
 * @throws NotKnown for soft suppression, which drops boxes by a threshold of its own
 */
export function postprocessOf(golden: Case): DecodeSpec["postprocess"] {
  const test = golden.setting<TestConfig>("test_cfg");
  only(test.nms, "type", "nms");
  const { nms_pre: perLevel = -1 } = test;
  return {
    perLevel: perLevel > 0 ? perLevel : Number.POSITIVE_INFINITY,
    scoreThreshold: test.score_thr,
    iouThreshold: test.nms.iou_thr,
    maxPerImage: test.max_per_img,
  };
}

/** What a picture's sides were multiplied by: one factor for all of a case's pictures, or one for each. */
function scalesOf(golden: Case, n: number): readonly [x: number, y: number] {
  if (!golden.flag("rescale")) return [1, 1];
  const all = golden.setting<number | number[] | number[][]>("scale_factor", 1);
  const own = Array.isArray(all) && Array.isArray(all[0]) ? (all as number[][])[n] : all;
  return typeof own === "number" ? [own, own] : (own as [number, number]);
}

/** What is left, as the candidates stand: so it comes while it is within the limit of objects. */
function asCandidates(
  found: readonly Detection[],
  { scores, factors, classes, priors }: Candidates,
): Detection[] {
  const rows = new Map<string, number[]>();
  for (const row of priors.keys()) {
    for (let label = 0; label < classes; label++) {
      const score = Math.fround((scores[row * classes + label] as number) * (factors?.[row] ?? 1));
      const key = `${label} ${score}`;
      rows.set(key, [...(rows.get(key) ?? []), row]);
    }
  }
  return found
    .map((one) => ({ one, row: rows.get(`${one.label} ${one.score}`)?.shift() ?? 0 }))
    .sort((a, b) => a.row - b.row || a.one.label - b.one.label)
    .map(({ one }) => one);
}

/** Decodes the candidates of each picture and compares what is found. */
export function expectDetections(
  golden: Case,
  spec: DecodeSpec,
  candidates: (picture: number) => Candidates,
): void {
  const { maxPerImage } = spec.postprocess;
  for (const [n, [inputHeight, inputWidth]] of pictures(golden).entries()) {
    const [scaleX, scaleY] = scalesOf(golden, n);
    const frame = { inputHeight, inputWidth, scaleX, scaleY };
    const own = candidates(n);
    const all = decode(spec, golden.sizes as LevelSize[], own, frame, {
      maxPerImage: Number.POSITIVE_INFINITY,
    });
    const found = all.length > maxPerImage ? all.slice(0, maxPerImage) : asCandidates(all, own);
    const rows = Float32Array.from(found.flatMap(({ box, score }) => [...box, score]));
    golden.expect(`out/det_bboxes${n}`, fromTypedArray(rows, [found.length, 5]));
    const labels = BigInt64Array.from(found, ({ label }) => BigInt(label));
    golden.expect(`out/det_labels${n}`, fromTypedArray(labels, [found.length]));
  }
}
