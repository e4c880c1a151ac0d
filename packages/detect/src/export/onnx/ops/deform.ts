import type { Call, Emit } from "../call.js";

interface Geometry {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  readonly offsetGroups: number;
}

function geometryOf(call: Call): Geometry {
  const pair = (name: string, otherwise: number) =>
    call.list(name, 2, otherwise) as unknown as [number, number];
  const [, , height, width] = call.value("weight").shape as [number, number, number, number];
  return {
    kernel: [height, width],
    stride: pair("stride", 1),
    padding: pair("padding", 0),
    dilation: pair("dilation", 1),
    groups: call.fixed("groups", 1),
    offsetGroups: call.fixed("offset_groups", 1),
  };
}

/** ONNX's own operator, of opset 19: the same order of offsets as here. */
function standard(call: Call, geometry: Geometry): string {
  const { kernel, stride, padding, dilation, groups, offsetGroups } = geometry;
  const inputs = ["input", "weight", "offset"].map((name) => call.tensor(name));
  const rest = [call.optional("bias") ?? "", call.optional("mask") ?? ""];
  while (rest.at(-1) === "") rest.pop();
  return call.graph.node("DeformConv", [...inputs, ...rest], {
    kernel_shape: kernel,
    strides: stride,
    pads: [...padding, ...padding],
    dilations: dilation,
    group: groups,
    offset_group: offsetGroups,
  });
}

/**
 * Where each tap reads along one axis, in GridSample's coordinates: -1 is the first cell's near side, 1 the last cell's
 * far side, which holds for maps of one cell too. `offset` [N, taps, H', W'] -> [N, taps, H', W', 1].
 */
function coordinates(call: Call, geometry: Geometry, offset: string, axis: 0 | 1): string {
  const { graph } = call;
  const { kernel, stride, padding, dilation } = geometry;
  const float = (values: readonly number[], dims: readonly number[]): string =>
    graph.constant("float32", dims, values);
  const sizeAt = (value: string, at: number): string =>
    graph.node("Gather", [graph.node("Shape", [value]), graph.constant("int64", [], [at])], { axis: 0 });
  const [zero, one] = [graph.constant("int64", [], [0]), graph.constant("int64", [], [1])];
  const cells = graph.node("Range", [zero, sizeAt(call.tensor("offset"), 2 + axis), one]);
  const scaled = graph.node("Mul", [graph.node("Cast", [cells], { to: 1 }), float([stride[axis]], [])]);
  const base = axis === 0 ? graph.node("Unsqueeze", [scaled, graph.ints([1])]) : scaled;
  const taps = Array.from({ length: kernel[0] * kernel[1] }, (_, tap) => {
    const place = axis === 0 ? Math.floor(tap / kernel[1]) : tap % kernel[1];
    return place * dilation[axis] - padding[axis];
  });
  const start = graph.node("Add", [base, float(taps, [taps.length, 1, 1])]);
  const read = graph.node("Add", [offset, start]);
  const size = graph.node("Cast", [sizeAt(call.tensor("input"), 2 + axis)], { to: 1 });
  const scale = graph.node("Div", [float([2], []), size]);
  // (2 · (read + ½)) / size − 1
  const middle = graph.node("Add", [read, float([0.5], [])]);
  const place = graph.node("Sub", [graph.node("Mul", [middle, scale]), float([1], [])]);
  return graph.node("Unsqueeze", [place, graph.ints([4])]);
}

/**
 * The same from operators that every back end has: all taps are sampled by one GridSample, their maps one below the
 * other, and a 1×1 convolution sums them.
 */
function portable(call: Call, geometry: Geometry): string {
  const { graph } = call;
  const { kernel, groups, offsetGroups } = geometry;
  if (offsetGroups !== 1 || call.ref("mask") !== null)
    throw call.refused("--portable knows one group of offsets and no masks");
  const taps = kernel[0] * kernel[1];
  const offset = graph.node("Reshape", [
    call.tensor("offset"),
    graph.node(
      "Concat",
      [
        graph.ints([0, taps, 2]),
        graph.node("Slice", [graph.node("Shape", [call.tensor("offset")]), graph.ints([2]), graph.ints([4])]),
      ],
      { axis: 0 },
    ),
  ]);
  const along = (axis: 0 | 1): string => {
    const own = graph.node("Gather", [offset, graph.constant("int64", [], [axis])], { axis: 2 });
    return coordinates(call, geometry, own, axis);
  };
  const grid = graph.node("Concat", [along(1), along(0)], { axis: 4 });
  const shape = graph.node("Shape", [call.tensor("offset")]);
  const width = graph.node("Slice", [shape, graph.ints([3]), graph.ints([4])]);
  const tall = graph.node("Reshape", [
    grid,
    graph.node("Concat", [graph.ints([0, -1]), width, graph.ints([2])], { axis: 0 }),
  ]);
  const sampled = graph.node("GridSample", [call.tensor("input"), tall], {
    mode: "bilinear",
    padding_mode: "zeros",
    align_corners: 0,
  });
  const [out, inner] = call.value("weight").shape as [number, number];
  const channels = inner * groups;
  const columns = graph.node("Reshape", [
    sampled,
    graph.node(
      "Concat",
      [graph.ints([0, channels * taps]), graph.node("Slice", [shape, graph.ints([2]), graph.ints([4])])],
      { axis: 0 },
    ),
  ]);
  // Another shape of the weight that levels without offsets use, so that it stands in the file once.
  const weight = graph.node("Reshape", [call.tensor("weight"), graph.ints([out, inner * taps, 1, 1])]);
  const inputs = [columns, weight, call.optional("bias")].filter((name) => name !== null);
  return graph.node("Conv", inputs, { kernel_shape: [1, 1], group: groups });
}

const deformConv: Emit = (call) => {
  const geometry = geometryOf(call);
  return call.options.portable ? portable(call, geometry) : standard(call, geometry);
};

export const deformOps: Readonly<Record<string, Emit>> = { "sepc::deform_conv2d": deformConv };
