// A detector of a dozen operators, for runtimes that are slow here.
import type { ModelSpec } from "@sepc/core";
import { metadataKey } from "@sepc/core/runtime";
import {
  type AttributeValue,
  attribute,
  elementTypes,
  encodeModel,
  type NodeProto,
  type TensorProto,
  valueInfo,
} from "../../detect/src/export/onnx/proto.js";

const [side, stride, channels, classes] = [64, 8, 8, 2] as const;
const cells = (side / stride) ** 2;

const spec: ModelSpec = {
  format: 1,
  name: "tiny",
  detector: "points",
  classes: ["first", "second"],
  input: {
    scale: [side, side],
    sizeDivisor: side,
    mean: [128, 128, 128],
    std: [64, 64, 64],
    channels: "rgb",
  },
  decode: {
    priors: { kind: "points", strides: [stride], offset: 0.5 },
    coder: { kind: "distance" },
    postprocess: { perLevel: 100, scoreThreshold: 0.05, iouThreshold: 0.5, maxPerImage: 20 },
  },
  output: "candidates",
  precision: "float32",
  views: {
    features: [{ output: "map", level: "p3", stride }],
    offsets: [{ output: "offsets", level: "p3", stride, kernel: "deformed", kernelSize: 3, readStride: 1 }],
  },
};

/** Numbers between -scale and scale, from a seed. */
function drawn(name: string, dims: readonly number[], scale: number, seed: number): TensorProto {
  let state = seed;
  const values = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return scale * (state / 0x40000000 - 1);
  });
  return { name, dims, dataType: elementTypes.float32, rawData: new Uint8Array(values.buffer) };
}

const whole = (name: string, values: readonly number[], dims: readonly number[]): TensorProto => ({
  name,
  dims,
  dataType: elementTypes.int64,
  rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});

const node = (
  opType: string,
  input: string[],
  output: string,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): NodeProto => ({
  input,
  output: [output],
  name: output,
  opType,
  attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
});

const strided = { strides: [stride, stride], pads: [1, 1, 1, 1], kernel_shape: [3, 3] };

const nodes: NodeProto[] = [
  node("Conv", ["images", "offset_weight"], "offsets", strided),
  node("DeformConv", ["images", "weight", "offsets"], "deformed", strided),
  node("Relu", ["deformed"], "map"),
  node("Conv", ["map", "class_weight"], "logits"),
  node("Sigmoid", ["logits"], "probabilities"),
  node("Reshape", ["probabilities", "class_shape"], "by_class"),
  node("Transpose", ["by_class"], "scores", { perm: [0, 2, 1] }),
  node("Conv", ["map", "box_weight"], "raw_sides"),
  node("Abs", ["raw_sides"], "sides"),
  node("Reshape", ["sides", "box_shape"], "by_side"),
  node("Transpose", ["by_side"], "boxes", { perm: [0, 2, 1] }),
  node("Identity", ["places"], "priors"),
];

/** One deformable convolution and two branches, for pictures of 64×64. */
export function tinyModel(): Uint8Array {
  const priors = Array.from({ length: cells }, (_, i) => i);
  return encodeModel({
    irVersion: 9,
    producerName: "sepc",
    producerVersion: "test",
    opsetImport: [{ domain: "", version: 19 }],
    metadataProps: [{ key: metadataKey, value: JSON.stringify(spec) }],
    graph: {
      name: "tiny",
      node: nodes,
      initializer: [
        drawn("offset_weight", [18, 3, 3, 3], 0.3, 1),
        drawn("weight", [channels, 3, 3, 3], 0.5, 2),
        drawn("class_weight", [classes, channels, 1, 1], 1, 3),
        drawn("box_weight", [4, channels, 1, 1], 8, 4),
        whole("class_shape", [1, classes, cells], [3]),
        whole("box_shape", [1, 4, cells], [3]),
        whole("places", priors, [1, cells]),
      ],
      input: [valueInfo("images", "float32", [1, 3, side, side])],
      output: [
        valueInfo("scores", "float32", [1, cells, classes]),
        valueInfo("boxes", "float32", [1, cells, 4]),
        valueInfo("priors", "int64", [1, cells]),
        valueInfo("map", "float32", [1, channels, side / stride, side / stride]),
        valueInfo("offsets", "float32", [1, 18, side / stride, side / stride]),
      ],
    },
  });
}
