import type { Call, Emit } from "../call.js";
import type { Attributes } from "../graph.js";

/** A map made larger or smaller to the height and width that follow from these sizes. */
function resized(call: Call, input: string, like: string, attributes: Attributes): string {
  const { graph } = call;
  const own = graph.node("Slice", [graph.node("Shape", [input]), graph.ints([0]), graph.ints([2])]);
  const sizes = graph.node("Concat", [own, like], { axis: 0 });
  return graph.node("Resize", [input, "", "", sizes], attributes);
}

const nearest: Emit = (call) => {
  const size = call.graph.shape(call.sizeList("output_size"));
  return resized(call, call.tensor("input"), size, {
    mode: "nearest",
    nearest_mode: "floor",
    coordinate_transformation_mode: "asymmetric",
  });
};

const bilinear: Emit = (call) => {
  const size = call.graph.shape(call.sizeList("output_size"));
  return resized(call, call.tensor("input"), size, {
    mode: "linear",
    coordinate_transformation_mode: call.flag("align_corners") ? "align_corners" : "pytorch_half_pixel",
  });
};

/** base + small, bilinearly made as large with the corners aligned. */
const upsampleAdd: Emit = (call) => {
  const { graph } = call;
  const base = call.tensor("base");
  const size = graph.node("Slice", [graph.node("Shape", [base]), graph.ints([2]), graph.ints([4])]);
  const large = resized(call, call.tensor("small"), size, {
    mode: "linear",
    coordinate_transformation_mode: "align_corners",
  });
  return graph.node("Add", [base, large]);
};

export const resizeOps: Readonly<Record<string, Emit>> = {
  "aten::upsample_nearest2d.vec": nearest,
  "aten::upsample_bilinear2d.vec": bilinear,
  "sepc::upsample_add": upsampleAdd,
};
