import type { Call, Emit } from "../call.js";

/** Begin and end of each axis, as ONNX wants padding. */
const both = (padding: readonly number[]): number[] => [...padding, ...padding];

const conv2d: Emit = (call) => {
  const inputs = [call.tensor("input"), call.tensor("weight"), call.optional("bias")].filter(
    (name) => name !== null,
  );
  return call.graph.node("Conv", inputs, {
    kernel_shape: call.value("weight").shape.slice(2),
    strides: call.list("stride", 2, 1),
    pads: both(call.list("padding", 2, 0)),
    dilations: call.list("dilation", 2, 1),
    group: call.fixed("groups", 1),
  });
};

const maxPool2d: Emit = (call) => {
  const kernel = call.list("kernel_size", 2, 1);
  const given = call.argument("stride");
  const stride =
    Array.isArray(given) && given.length === 0 ? kernel : call.list("stride", 2, kernel[0] as number);
  return call.graph.node("MaxPool", [call.tensor("self")], {
    kernel_shape: kernel,
    strides: stride,
    pads: both(call.list("padding", 2, 0)),
    dilations: call.list("dilation", 2, 1),
    ceil_mode: call.flag("ceil_mode") ? 1 : 0,
  });
};

const groupNorm: Emit = (call) => {
  const { graph } = call;
  const x = call.tensor("input");
  const [, channels] = call.value("input").shape as [number, number];
  const groups = call.fixed("num_groups");
  // Each group as one instance: ONNX's own group normalisation is younger than many back ends.
  const grouped = graph.node("Reshape", [x, graph.ints([0, groups, -1])]);
  const ones = graph.constant("float32", [groups], Array<number>(groups).fill(1));
  const zeros = graph.constant("float32", [groups], Array<number>(groups).fill(0));
  const epsilon = call.numbers("eps", 1e-5)[0] as number;
  const [flat] = graph.nodeOf("InstanceNormalization", [grouped, ones, zeros], 1, { epsilon }) as [string];
  const normal = graph.node("Reshape", [flat, graph.node("Shape", [x])]);
  const perChannel = (name: string): string =>
    graph.node("Reshape", [call.tensor(name), graph.ints([1, channels, 1, 1])]);
  return graph.node("Add", [graph.node("Mul", [normal, perChannel("weight")]), perChannel("bias")]);
};

function batchNorm(call: Call): string {
  const names = ["input", "weight", "bias", "running_mean", "running_var"].map((name) => call.tensor(name));
  if (call.flag("training")) throw call.refused("it is in training");
  return call.graph.node("BatchNormalization", names, { epsilon: call.numbers("eps", 1e-5)[0] as number });
}

/** Calls that convolve, pool or normalise. */
export const convolutionOps: Readonly<Record<string, Emit>> = {
  "aten::conv2d": conv2d,
  "aten::max_pool2d": maxPool2d,
  "aten::group_norm": groupNorm,
  "aten::batch_norm": batchNorm,
};
