import type { Call, Emit } from "../call.js";
import type { ElementType } from "../proto.js";

const unary =
  (opType: string): Emit =>
  (call) =>
    call.graph.node(opType, [call.tensor("self")]);

/** The type that a number beside this argument has. */
const typeOf = (call: Call, name = "self"): ElementType => call.value(name).dtype as ElementType;

/** A plain number as a constant of no dimensions, or as a size of the maps. */
function scalar(call: Call, name: string, otherwise?: number): string {
  const values = call.numbers(name, otherwise);
  const { graph } = call;
  if (values.every((value) => value === values[0])) {
    return graph.constant(typeOf(call), [], [values[0] as number]);
  }
  const size = graph.size(call.size(name));
  return typeOf(call) === "int64" ? size : graph.node("Cast", [size], { to: 1 });
}

/** x ∘ other, where `other` may be a tensor or a number; `alpha` multiplies it. */
const binary =
  (opType: string): Emit =>
  (call) => {
    const { graph } = call;
    const hasAlpha = call.node.argumentNames.includes("alpha");
    const alpha = hasAlpha ? (call.numbers("alpha", 1)[0] as number) : 1;
    const other = call.ref("other") === null ? scalar(call, "other") : call.tensor("other");
    const scaled =
      alpha === 1 ? other : graph.node("Mul", [other, graph.constant(typeOf(call), [], [alpha])]);
    return graph.node(opType, [call.tensor("self"), scaled]);
  };

const clamp: Emit = (call) => {
  const limit = (name: string): string => (call.argument(name) === undefined ? "" : scalar(call, name));
  const limits = [limit("min"), limit("max")];
  while (limits.at(-1) === "") limits.pop();
  return call.graph.node("Clip", [call.tensor("self"), ...limits]);
};

const onnxTypes: Readonly<Record<string, number>> = {
  float32: 1,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
};

const cast: Emit = (call) => {
  const { dtype } = call.result();
  if (dtype === call.value("self").dtype) return call.tensor("self");
  const to = onnxTypes[dtype];
  if (to === undefined) throw call.refused(`ONNX has no type for ${dtype}`);
  return call.graph.node("Cast", [call.tensor("self")], { to });
};

const named = (names: readonly string[], emit: Emit): Record<string, Emit> =>
  Object.fromEntries(names.map((name) => [`aten::${name}`, emit]));

/** Calls that treat each number by itself. */
export const elementwiseOps: Readonly<Record<string, Emit>> = {
  ...named(["relu", "relu_"], unary("Relu")),
  ...named(["sigmoid", "sigmoid_"], unary("Sigmoid")),
  ...named(["exp", "exp_"], unary("Exp")),
  ...named(["log"], unary("Log")),
  ...named(["sqrt"], unary("Sqrt")),
  ...named(["neg"], unary("Neg")),
  ...named(["tanh"], unary("Tanh")),
  ...named(["contiguous", "clone", "detach", "alias"], (call) => call.tensor("self")),
  ...named(["to.dtype", "to.dtype_layout", "_to_copy"], cast),
  ...named(["add.Tensor", "add.Scalar", "add_.Tensor", "add_.Scalar"], binary("Add")),
  ...named(["sub.Tensor", "sub.Scalar"], binary("Sub")),
  ...named(["mul.Tensor", "mul.Scalar", "mul_.Tensor", "mul_.Scalar"], binary("Mul")),
  ...named(["div.Tensor", "div.Scalar"], binary("Div")),
  ...named(["minimum"], binary("Min")),
  ...named(["maximum"], binary("Max")),
  ...named(["clamp", "clamp_"], clamp),
};
