// Post-processing of any detector's cases, in mmdetection 1.x's conventions.
import { type Candidates, type DecodeSpec, decode, type LevelSize } from "@sepc/core";
import { fromTypedArray, type Tensor } from "@sepc/engine";
import type { LevelOutput } from "../models/heads/dense.js";
import { selectCandidates } from "../models/heads/select.js";
import type { Case } from "./case.js";

type Four = [number, number, number, number];

/** Height and width of each picture. */
export const pictures = (golden: Case): [number, number][] =>
  (golden.entry.hyper_parameters.img_shapes as number[][]).map(([height, width]) => [
    height as number,
    width as number,
  ]);

/** The K candidates of picture `n`. */
export function candidatesOf(
  levels: Parameters<typeof selectCandidates>[0],
  perLevel: number,
  classes: number,
  n: number,
): Candidates {
  const { cls } = levels[0] as LevelOutput;
  const anchorsPerCell = (cls.shape[1] as number) / classes;
  const { scores, boxes, priors, factors } = selectCandidates(levels, { anchorsPerCell, perLevel });
  const floats = (x: Tensor): Float32Array => x.select(0, n).contiguous().toTypedArray() as Float32Array;
  const places = priors.select(0, n).contiguous().toTypedArray() as BigInt64Array;
  return {
    scores: floats(scores),
    boxes: floats(boxes),
    priors: Int32Array.from(places, Number),
    factors: factors === null ? undefined : floats(factors),
    classes,
  };
}

interface TestConfig {
  readonly nms_pre: number;
  readonly score_thr: number;
  readonly nms: { readonly iou_thr: number };
  readonly max_per_img: number;
}

/** The case's settings of post-processing. */
export function postprocessOf(golden: Case): DecodeSpec["postprocess"] {
  const test = golden.entry.hyper_parameters.test_cfg as TestConfig;
  return {
    perLevel: test.nms_pre,
    scoreThreshold: test.score_thr,
    iouThreshold: test.nms.iou_thr,
    maxPerImage: test.max_per_img,
  };
}

/** Decodes the candidates of each picture and compares what is found. */
export function expectDetections(
  golden: Case,
  spec: DecodeSpec,
  candidates: (picture: number) => Candidates,
): void {
  const [scaleX, scaleY] = golden.flag("rescale")
    ? (golden.entry.hyper_parameters.scale_factor as Four)
    : [1, 1];
  for (const [n, [inputHeight, inputWidth]] of pictures(golden).entries()) {
    const frame = { inputHeight, inputWidth, scaleX, scaleY };
    const found = decode(spec, golden.sizes as LevelSize[], candidates(n), frame);
    const rows = Float32Array.from(found.flatMap(({ box, score }) => [...box, score]));
    golden.expect(`out/det_bboxes${n}`, fromTypedArray(rows, [found.length, 5]));
    const labels = BigInt64Array.from(found, ({ label }) => BigInt(label));
    golden.expect(`out/det_labels${n}`, fromTypedArray(labels, [found.length]));
  }
}
