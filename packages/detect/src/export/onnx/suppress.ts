import {
  type AnchorPriors,
  baseAnchors,
  clipMargin,
  type DecodeSpec,
  extraPixel,
  largestLogRatio,
} from "@sepc/core";
import { EngineError } from "@sepc/engine";
import type { Graph } from "./graph.js";
import { elementTypes } from "./proto.js";

/** Names of the values that a network's candidates have. */
export interface CandidateNames {
  /** [N, 3, H, W] */
  readonly images: string;
  /** [N, K, C] */
  readonly scores: string;
  /** [N, K, 4] */
  readonly boxes: string;
  /** int64 [N, K] */
  readonly priors: string;
  /** [N, K] */
  readonly factors: string | null;
}

/** Short names for the nodes that arithmetic needs; numbers are float32. */
class Arithmetic {
  constructor(readonly graph: Graph) {}

  number(value: number): string {
    return this.graph.constant("float32", [], [value]);
  }

  int(value: number): string {
    return this.graph.constant("int64", [], [value]);
  }

  add(a: string, b: string): string {
    return this.graph.node("Add", [a, b]);
  }

  sub(a: string, b: string): string {
    return this.graph.node("Sub", [a, b]);
  }

  mul(a: string, b: string): string {
    return this.graph.node("Mul", [a, b]);
  }

  float(a: string): string {
    return this.graph.node("Cast", [a], { to: elementTypes.float32 });
  }

  /** Columns of the last axis, [..., n] -> n times [..., 1]. */
  columns(x: string, count: number): string[] {
    return this.graph.nodeOf("Split", [x, this.graph.ints(Array<number>(count).fill(1))], count, {
      axis: -1,
    });
  }

  join(parts: readonly string[], axis = -1): string {
    return this.graph.node("Concat", parts, { axis });
  }

  /** Rows of a side: 0, stride, 2 · stride ... as float32 [n]. */
  steps(count: string, stride: number, offset: number): string {
    const range = this.graph.node("Range", [this.int(0), count, this.int(1)]);
    const places = this.float(range);
    return this.mul(offset === 0 ? places : this.add(places, this.number(offset)), this.number(stride));
  }

  reshape(x: string, shape: readonly number[]): string {
    return this.graph.node("Reshape", [x, this.graph.ints(shape)]);
  }
}

/** Cells of a level along one side of the input: its size over the stride, rounded up, less the cut. */
function cells(a: Arithmetic, images: string, axis: number, stride: number, cut: number): string {
  const side = a.graph.node("Gather", [a.graph.node("Shape", [images]), a.int(axis)], { axis: 0 });
  const up = a.graph.node("Div", [a.add(side, a.int(stride - 1)), a.int(stride)]);
  return cut === 0 ? up : a.sub(up, a.int(cut));
}

/** All anchors [P, 4], or all points [P, 2], level by level. */
function priorTable(a: Arithmetic, spec: DecodeSpec, images: string): string {
  const { priors, cut = 0 } = spec;
  const offset = priors.kind === "points" ? priors.offset : 0;
  const parts = priors.strides.map((stride, level) => {
    const rows = cells(a, images, 2, stride, cut);
    const columns = cells(a, images, 3, stride, cut);
    const y = a.reshape(a.steps(rows, stride, offset), [-1, 1, 1, 1]);
    const x = a.reshape(a.steps(columns, stride, offset), [1, -1, 1, 1]);
    // Broadcast against each other by what adds nothing.
    const [xs, ys] = [a.add(x, a.mul(y, a.number(0))), a.add(y, a.mul(x, a.number(0)))];
    if (priors.kind === "points") return a.reshape(a.join([xs, ys]), [-1, 2]);
    const base = baseAnchors(priors as AnchorPriors, level);
    const shapes = a.graph.constant("float32", [1, 1, base.length / 4, 4], [...base]);
    return a.reshape(a.add(a.join([xs, ys, xs, ys]), shapes), [-1, 4]);
  });
  return parts.length === 1 ? (parts[0] as string) : a.join(parts, 0);
}

/** Sides and centre of anchors [N, K, 4], [N, K, 1] each. */
function anchorParts(a: Arithmetic, anchors: string, extra: number) {
  const [x1, y1, x2, y2] = a.columns(anchors, 4) as [string, string, string, string];
  const side = (from: string, to: string): string => a.add(a.sub(to, from), a.number(extra));
  return { x1, y1, x2, y2, width: side(x1, x2), height: side(y1, y2) };
}

function deltaBoxes(a: Arithmetic, spec: DecodeSpec, raw: string, anchors: string): string {
  const coder = spec.coder as Extract<DecodeSpec["coder"], { kind: "delta" }>;
  const extra = extraPixel(coder);
  const row = (values: readonly number[]): string => a.graph.constant("float32", [4], values);
  const [dx, dy, dw, dh] = a.columns(a.add(a.mul(raw, row(coder.stds)), row(coder.means)), 4) as string[];
  const { x1, y1, x2, y2, width, height } = anchorParts(a, anchors, extra);
  const along = (from: string, to: string, size: string, shift: string, log: string): [string, string] => {
    const centre = a.add(a.mul(a.add(from, to), a.number(0.5)), a.mul(size, shift));
    const limits = [a.number(-largestLogRatio), a.number(largestLogRatio)];
    const factor = a.graph.node("Exp", [a.graph.node("Clip", [log, ...limits])]);
    const half = a.mul(a.sub(a.mul(size, factor), a.number(extra)), a.number(0.5));
    return [a.sub(centre, half), a.add(centre, half)];
  };
  const [left, right] = along(x1, x2, width, dx as string, dw as string);
  const [top, bottom] = along(y1, y2, height, dy as string, dh as string);
  return a.join([left, top, right, bottom]);
}

function tblrBoxes(a: Arithmetic, spec: DecodeSpec, raw: string, anchors: string): string {
  const extra = extraPixel(spec.coder as Extract<DecodeSpec["coder"], { kind: "tblr" }>);
  const [bottom, top, left, right] = a.columns(raw, 4) as [string, string, string, string];
  const { x1, y1, x2, y2, width, height } = anchorParts(a, anchors, extra);
  const middle = (from: string, to: string): string =>
    a.mul(a.add(a.add(from, to), a.number(extra)), a.number(0.5));
  const [x, y] = [middle(x1, x2), middle(y1, y2)];
  const far = (centre: string, part: string, size: string): string =>
    a.sub(a.add(centre, a.mul(part, size)), a.number(extra));
  return a.join([
    a.sub(x, a.mul(left, width)),
    a.sub(y, a.mul(top, height)),
    far(x, right, width),
    far(y, bottom, height),
  ]);
}

function distanceBoxes(a: Arithmetic, raw: string, points: string): string {
  const [left, top, right, bottom] = a.columns(raw, 4) as [string, string, string, string];
  const [x, y] = a.columns(points, 2) as [string, string];
  return a.join([a.sub(x, left), a.sub(y, top), a.add(x, right), a.add(y, bottom)]);
}

/** Boxes in pixels of the input [N, K, 4], clipped to it. */
function decodeBoxes(a: Arithmetic, spec: DecodeSpec, names: CandidateNames): string {
  const own = a.graph.node("Gather", [priorTable(a, spec, names.images), names.priors], { axis: 0 });
  const { kind } = spec.coder;
  const boxes =
    kind === "delta"
      ? deltaBoxes(a, spec, names.boxes, own)
      : kind === "tblr"
        ? tblrBoxes(a, spec, names.boxes, own)
        : distanceBoxes(a, names.boxes, own);
  const shape = a.graph.node("Shape", [names.images]);
  const side = (axis: number): string => a.graph.node("Gather", [shape, a.graph.ints([axis])], { axis: 0 });
  const sides = a.float(a.join([side(3), side(2), side(3), side(2)], 0));
  const limits = a.sub(sides, a.number(clipMargin(spec)));
  return a.graph.node("Min", [a.graph.node("Max", [boxes, a.number(0)]), limits]);
}

/** Places of an image's best, among detections that are sorted, best first: int64 [M']. */
function bestOfEach(a: Arithmetic, batch: string, scores: string, most: number): string {
  const shape = a.graph.node("Shape", [scores]);
  const count = a.graph.node("Gather", [shape, a.int(0)], { axis: 0 });
  const each = a.graph.node("Range", [a.int(0), count, a.int(1)]);
  const mine = a.graph.node("Equal", [
    a.graph.node("Unsqueeze", [batch, a.graph.ints([1])]),
    a.graph.node("Unsqueeze", [each, a.graph.ints([0])]),
  ]);
  const marks = a.graph.node("Cast", [mine], { to: elementTypes.int64 });
  const ranks = a.graph.node("CumSum", [marks, a.int(0)]);
  const rank = a.graph.node("ReduceSum", [a.mul(ranks, marks), a.graph.ints([1])], { keepdims: 0 });
  const kept = a.graph.node("Not", [a.graph.node("Greater", [rank, a.int(most)])]);
  return a.graph.node("Squeeze", [a.graph.node("NonZero", [kept]), a.graph.ints([0])]);
}

/**
 * Adds decoding and class-wise suppression to a graph, in pixels of the input: boxes are clipped to it with its padding,
 * and the pixel that mmdetection 1.x adds to sides is one of the input's.
 * @returns names of `batch` [M], `boxes` [M, 4], `scores` [M] and `labels` [M], best first
 * @throws EngineError BAD_ARGUMENT for soft suppression, which ONNX has not
 */
export function addSuppression(
  graph: Graph,
  spec: DecodeSpec,
  names: CandidateNames,
): Record<string, string> {
  const { scoreThreshold, iouThreshold, maxPerImage, suppression = "hard" } = spec.postprocess;
  if (suppression !== "hard")
    throw new EngineError(
      "BAD_ARGUMENT",
      `export: suppression in the graph is hard; the model's is ${suppression}: export without --nms`,
    );
  const a = new Arithmetic(graph);
  const boxes = decodeBoxes(a, spec, names);
  const extra = extraPixel(spec);
  const areas = extra === 0 ? boxes : a.add(boxes, graph.constant("float32", [4], [0, 0, extra, extra]));
  const { factors } = names;
  const passed = graph.node("Greater", [names.scores, a.number(scoreThreshold)]);
  const weighted =
    factors === null
      ? names.scores
      : a.mul(names.scores, graph.node("Unsqueeze", [factors, graph.ints([2])]));
  const scores = graph.node("Where", [passed, weighted, a.number(0)]);
  const byClass = graph.node("Transpose", [scores], { perm: [0, 2, 1] });
  const limits = [
    graph.ints([maxPerImage]),
    ...[iouThreshold, 0].map((x) => graph.constant("float32", [1], [x])),
  ];
  const chosen = graph.node("NonMaxSuppression", [areas, byClass, ...limits]);
  const found = graph.node("GatherND", [byClass, chosen]);
  const count = graph.node("Shape", [found]);
  const [, order] = graph.nodeOf("TopK", [found, count], 2, { axis: 0, largest: 1, sorted: 1 }) as [
    string,
    string,
  ];
  const sorted = graph.node("Gather", [chosen, order], { axis: 0 });
  const batch = graph.node("Gather", [sorted, a.int(0)], { axis: 1 });
  const kept = bestOfEach(a, batch, names.scores, maxPerImage);
  const rows = graph.node("Gather", [sorted, kept], { axis: 0 });
  const place = graph.node("Gather", [rows, graph.ints([0, 2])], { axis: 1 });
  return {
    batch: graph.node("Gather", [rows, a.int(0)], { axis: 1 }),
    boxes: graph.node("GatherND", [boxes, place]),
    scores: graph.node("GatherND", [byClass, rows]),
    labels: graph.node("Gather", [rows, a.int(1)], { axis: 1 }),
  };
}
