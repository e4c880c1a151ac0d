import type { Size } from "../../symbols.js";
import type { Call, Emit } from "../call.js";

/** The sizes of a result, each fixed or known from other values. */
function resultSizes(call: Call): Size[] {
  const value = call.node.results[0] as number;
  const { sizes } = call;
  const rank = call.result().shape.length;
  return Array.from({ length: rank }, (_, axis) =>
    sizes.resolve(sizes.of(value, axis), `axis ${axis} of what ${call.node.name} makes`),
  );
}

const reshape: Emit = (call) => {
  const { graph, sizes } = call;
  const input = (call.ref("self") as { value: number }).value;
  const value = call.node.results[0] as number;
  const same = (axis: number): boolean =>
    axis < call.rank("self") && sizes.of(input, axis).every((n, t) => n === sizes.of(value, axis)[t]);
  const fixedAt = (axis: number): boolean => sizes.of(value, axis).every((n, _, all) => n === all[0]);
  const axes = call.result().shape.map((_, axis) => axis);
  const free = axes.filter((axis) => !fixedAt(axis) && !same(axis));
  // 0 keeps the input's size, and one size may be left to be worked out.
  const target = axes.map((axis): Size => {
    if (axis === free.at(-1)) return { kind: "fixed", value: -1 };
    if (fixedAt(axis)) return { kind: "fixed", value: sizes.of(value, axis)[0] as number };
    if (same(axis)) return { kind: "fixed", value: 0 };
    return sizes.resolve(sizes.of(value, axis), `axis ${axis} of what ${call.node.name} makes`);
  });
  return graph.node("Reshape", [call.tensor("self"), graph.shape(target)]);
};

const permute: Emit = (call) =>
  call.graph.node("Transpose", [call.tensor("self")], {
    perm: call.list("dims", 0, 0).map((axis) => (axis < 0 ? axis + call.rank("self") : axis)),
  });

const transpose: Emit = (call) => {
  const [a, b] = [call.axis("dim0", "self"), call.axis("dim1", "self")];
  const perm = Array.from({ length: call.rank("self") }, (_, axis) =>
    axis === a ? b : axis === b ? a : axis,
  );
  return call.graph.node("Transpose", [call.tensor("self")], { perm });
};

const unsqueeze: Emit = (call) => {
  const dim = call.fixed("dim");
  const axis = dim < 0 ? dim + call.rank("self") + 1 : dim;
  return call.graph.node("Unsqueeze", [call.tensor("self"), call.graph.ints([axis])]);
};

const squeeze: Emit = (call) =>
  call.graph.node("Squeeze", [call.tensor("self"), call.graph.ints([call.axis("dim", "self")])]);

const expand: Emit = (call) => {
  const sizes = call.sizeList("size");
  // A one keeps what is there.
  const target = sizes.map(
    (size): Size => (size.kind === "fixed" && size.value === -1 ? { kind: "fixed", value: 1 } : size),
  );
  return call.graph.node("Expand", [call.tensor("self"), call.graph.shape(target)]);
};

const cat: Emit = (call) => {
  const first = (call.argument("tensors") as { value: number }[])[0] as { value: number };
  const rank = call.sizes.traces[0]?.values[first.value]?.shape.length ?? 0;
  const dim = call.fixed("dim", 0);
  return call.graph.node("Concat", call.tensors("tensors"), { axis: dim < 0 ? dim + rank : dim });
};

const stack: Emit = (call) => {
  const { graph } = call;
  const dim = call.fixed("dim", 0);
  const axis = dim < 0 ? dim + call.result().shape.length : dim;
  const parts = call.tensors("tensors").map((name) => graph.node("Unsqueeze", [name, graph.ints([axis])]));
  return graph.node("Concat", parts, { axis });
};

const split: Emit = (call) => {
  const axis = call.axis("dim", "self", 0);
  const widths = call.node.results.map((_, i) => call.result(i).shape[axis] as number);
  return call.graph.nodeOf("Split", [call.tensor("self"), call.graph.ints(widths)], widths.length, { axis });
};

/** A stretch of one axis; both ends may depend on the picture. */
function slice(call: Call, axis: number, start: string, end: string): string {
  const { graph } = call;
  return graph.node("Slice", [call.tensor("self"), start, end, graph.ints([axis])]);
}

const narrow: Emit = (call) => {
  const { graph } = call;
  const start = graph.size(call.size("start"));
  const end = graph.node("Add", [start, graph.size(call.size("length"))]);
  return slice(call, call.axis("dim", "self"), start, end);
};

const sliceTensor: Emit = (call) => {
  const { graph } = call;
  if (call.fixed("step", 1) !== 1) throw call.refused("its step is not 1");
  const axis = call.axis("dim", "self", 0);
  const last = 2 ** 53;
  const end = call.numbers("end", last).some((value) => value >= last)
    ? graph.ints([2 ** 31 - 1])
    : graph.size(call.size("end"));
  return slice(call, axis, graph.size(call.size("start", 0)), end);
};

const select: Emit = (call) => {
  const { graph } = call;
  const index = graph.constant("int64", [], [call.fixed("index")]);
  return graph.node("Gather", [call.tensor("self"), index], { axis: call.axis("dim", "self") });
};

/** 0, 1, 2 ... up to a size. */
const arange: Emit = (call) => {
  const { graph } = call;
  const end = graph.node("Squeeze", [graph.size(call.size("end")), graph.ints([0])]);
  const start = graph.constant("int64", [], [0]);
  const range = graph.node("Range", [start, end, graph.constant("int64", [], [1])]);
  return call.result().dtype === "int64" ? range : graph.node("Cast", [range], { to: 1 });
};

const filled =
  (value: number): Emit =>
  (call) => {
    const { graph } = call;
    const { dtype } = call.result();
    const one = graph.constant(dtype as "float32", [1], [value]);
    return graph.node("Expand", [one, graph.shape(resultSizes(call))]);
  };

const named = (names: readonly string[], emit: Emit): Record<string, Emit> =>
  Object.fromEntries(names.map((name) => [`aten::${name}`, emit]));

/** Calls that move numbers without changing them, and make them from sizes. */
export const shapeOps: Readonly<Record<string, Emit>> = {
  ...named(["reshape", "view", "flatten.using_ints"], reshape),
  ...named(["permute"], permute),
  ...named(["transpose.int"], transpose),
  ...named(["unsqueeze"], unsqueeze),
  ...named(["squeeze.dim"], squeeze),
  ...named(["expand"], expand),
  ...named(["cat"], cat),
  ...named(["stack"], stack),
  ...named(["split.Tensor", "split_with_sizes", "chunk"], split),
  ...named(["narrow"], narrow),
  ...named(["slice.Tensor"], sliceTensor),
  ...named(["select.int"], select),
  ...named(["arange"], arange),
  ...named(["zeros", "zeros_like"], filled(0)),
  ...named(["ones", "ones_like"], filled(1)),
};
