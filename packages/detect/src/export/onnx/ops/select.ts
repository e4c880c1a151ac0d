import type { Call, Emit } from "../call.js";

const reduce =
  (opType: string): Emit =>
  (call) => {
    const { graph } = call;
    const rank = call.rank("self");
    const axes = call.list("dim", 1, 0).map((axis) => (axis < 0 ? axis + rank : axis));
    const keepdims = call.flag("keepdim") ? 1 : 0;
    return graph.node(opType, [call.tensor("self"), graph.ints(axes)], { keepdims });
  };

/** How many are taken: as many as there are, but no more than the limit. */
function topK(call: Call): string {
  const { graph, sizes } = call;
  const axis = call.axis("dim", "self");
  const input = (call.ref("self") as { value: number }).value;
  const counts = call.numbers("k");
  const there = sizes.of(input, axis);
  const limit = call.options.perLevel;
  if (counts.every((count, i) => count === Math.min(limit, there[i] as number))) {
    const count = sizes.resolve(there, "the number of places of a level");
    return graph.node("Min", [graph.size(count), graph.ints([limit])]);
  }
  return graph.size(call.size("k"));
}

const topk: Emit = (call) =>
  call.graph.nodeOf("TopK", [call.tensor("self"), topK(call)], 2, {
    axis: call.axis("dim", "self"),
    largest: call.argument("largest") === false ? 0 : 1,
    sorted: 1,
  });

const gather: Emit = (call) =>
  call.graph.node("GatherElements", [call.tensor("self"), call.tensor("index")], {
    axis: call.axis("dim", "self"),
  });

/** Calls that choose or sum up. */
export const selectOps: Readonly<Record<string, Emit>> = {
  "aten::amax": reduce("ReduceMax"),
  "aten::amin": reduce("ReduceMin"),
  "aten::mean.dim": reduce("ReduceMean"),
  "aten::sum.dim_IntList": reduce("ReduceSum"),
  "aten::topk": topk,
  "aten::gather": gather,
};
