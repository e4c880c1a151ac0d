// libtorch trusts the arguments of a few operators: where these are malformed, it reads beyond its memory, divides by
// zero (which is a signal, not an exception) or loops without end, and the process is gone. Each has a guard here that
// the door asks before the call; all other operators pay nothing. test/door-fuzz is how they were found.
import { EngineError } from "./errors.js";
import type { Schema } from "./native.js";
import { Tensor } from "./tensor.js";

/** Says what is wrong with arguments in the order of the schema. What it cannot read it leaves to the door. */
type Guard = (values: readonly unknown[]) => string | undefined;

const isNumber = (value: unknown): value is number | bigint =>
  typeof value === "number" || typeof value === "bigint";

/** A list of numbers, or one that stands for `length`; undefined for anything else. */
function numbers(value: unknown, length = 1): number[] | undefined {
  if (isNumber(value)) return Array<number>(length).fill(Number(value));
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return Array.from(value as unknown as ArrayLike<number | bigint>, Number);
  return Array.isArray(value) && value.every(isNumber) ? value.map(Number) : undefined;
}

/** Neither freed nor an object that only has a tensor's prototype. */
const isLive = (value: unknown): value is Tensor => value instanceof Tensor && value.handle >= 0;

const shapeOf = (value: unknown): number[] | undefined => (isLive(value) ? value.shape : undefined);

const say = (argument: string, expected: string, got: unknown): string =>
  `argument "${argument}": expected ${expected}, got ${Array.isArray(got) ? `[${got.join(", ")}]` : String(got)}`;

/** `count` integers of at least `least` and below 2^31; libtorch's defaults are right. */
function sizes(at: number, argument: string, count: number, least: number): Guard {
  return (values) => {
    const found = numbers(values[at], count);
    const right = found?.length === count && found.every((size) => size >= least && size < 2 ** 31);
    return found === undefined || right
      ? undefined
      : say(argument, `${count} integers from ${least} to 2^31 - 1`, found);
  };
}

/** What sliding windows and groups are described by, as schemas name it, and the least that has a meaning. */
const windowArguments: Readonly<Record<string, number>> = {
  blocksize: 1,
  dilation: 1,
  downscale_factor: 1,
  group: 1,
  groups: 1,
  kernel_size: 1,
  num_groups: 1,
  output_padding: 0,
  output_size: 0,
  padding: 1 - 2 ** 31,
  stride: 1,
  upscale_factor: 1,
};

/** libtorch divides by these, and multiplies them without an eye on overflow. Undefined where there are none. */
function windows({ arguments: all }: Schema): Guard | undefined {
  // Where there is a size too, strides are those of memory.
  if (all.some(({ name }) => name === "size")) return undefined;
  const found = all.flatMap(({ name, type }, at) =>
    /^(Sym)?[Ii]nt/.test(type) && Object.hasOwn(windowArguments, name)
      ? [{ at, name, least: windowArguments[name] as number }]
      : [],
  );
  if (found.length === 0) return undefined;
  return (values) => {
    for (const { at, name, least } of found) {
      const given = numbers(values[at]);
      if (given?.some((each) => each < least || each >= 2 ** 31))
        return say(name, `integers from ${least < 0 ? "-2^31 + 1" : least} to 2^31 - 1`, given);
    }
    return undefined;
  };
}

/** A tensor whose elements are integers in a range that depends on the other arguments. */
const contents =
  (at: number, argument: string, range: (values: readonly unknown[]) => readonly [number, number]): Guard =>
  (values) => {
    const tensor = values[at];
    if (!isLive(tensor) || tensor.dtype.includes("float")) return undefined;
    const [least, most] = range(values);
    let elements: ArrayLike<number | bigint>;
    try {
      elements = tensor.toTypedArray() as ArrayLike<number | bigint>;
    } catch {
      return undefined; // of no kind that the operator takes
    }
    const wrong = Array.from(elements).find((element) => !(element >= least && element <= most));
    return wrong === undefined ? undefined : say(argument, `integers from ${least} to ${most}`, wrong);
  };

/** Sizes of a result with so few cells that loops over them end. */
function cells(at: number, argument: string, count: number): Guard {
  return (values) => {
    const found = numbers(values[at], count);
    const most = found?.reduce((product, size) => product * Math.max(size, 1), 1) ?? 0;
    return most < 2 ** 26 ? undefined : say(argument, "sizes whose product is below 2^26", found);
  };
}

function vector(at: number, argument: string): Guard {
  return (values) => {
    const shape = shapeOf(values[at]);
    if (shape === undefined || shape.length === 1) return undefined;
    return say(argument, "a vector", `shape [${shape.join(", ")}]`);
  };
}

function entries(at: number, argument: string, least: number): Guard {
  return ({ [at]: list }) =>
    Array.isArray(list) && list.length < least
      ? say(argument, `at least ${least} entries`, `${list.length}`)
      : undefined;
}

const both =
  (first: Guard, second: Guard): Guard =>
  (values) =>
    first(values) ?? second(values);

/** libtorch checks that a strided view stays inside its memory with sums that overflow. */
const stridedView =
  (sizeAt: number, offsetAt = sizeAt + 2): Guard =>
  (values) => {
    const [size, stride, offset] = [
      numbers(values[sizeAt]),
      numbers(values[sizeAt + 1]),
      numbers(values[offsetAt] ?? 0),
    ];
    if (size === undefined || stride === undefined || offset === undefined) return undefined;
    const extents = size.map((extent, i) => Math.abs(extent * (stride[i] ?? 0)));
    const reach = extents.reduce((sum, extent) => sum + extent, Math.abs(offset[0] ?? 0));
    return reach < 2 ** 53 ? undefined : say("storage_offset", "a view that ends before element 2^53", reach);
  };

/** The count of the result's elements must not overflow. */
const repeats: Guard = ([self, count]) => {
  const numel = shapeOf(self)?.reduce((product, size) => product * size, 1);
  if (numel === undefined || !isNumber(count) || numel * Number(count) < 2 ** 48) return undefined;
  return say("repeats", "a result of less than 2^48 elements", count);
};

/** Sizes that sum_to_size can reach: as many as the tensor has at most, each 1 or the tensor's own. */
const reachable: Guard = ([self, size]) => {
  const [shape, wanted] = [shapeOf(self), numbers(size)];
  if (shape === undefined || wanted === undefined) return undefined;
  const own = shape.slice(shape.length - Math.min(wanted.length, shape.length));
  const right = wanted.length <= shape.length && wanted.every((one, i) => one === 1 || one === own[i]);
  return right ? undefined : say("size", `sizes that [${shape.join(", ")}] can be summed to`, wanted);
};

/** Two tensors of one shape. */
const sameShape =
  (a: number, b: number, argument: string): Guard =>
  (values) => {
    const [first, second] = [shapeOf(values[a]), shapeOf(values[b])];
    if (first === undefined || second === undefined || String(first) === String(second)) return undefined;
    return say(argument, `shape [${first.join(", ")}]`, second);
  };

/** Weights of a recurrent cell: as many matrices of the hidden size, stacked, as it has gates. */
const recurrentCell =
  (gates: number): Guard =>
  ([, state, input, hidden]) => {
    const size = shapeOf(Array.isArray(state) ? state[0] : state)?.[1];
    const rows = [input, hidden].map((weight) => shapeOf(weight)?.[0]);
    if (size === undefined || rows.every((count) => count === gates * size)) return undefined;
    return say("w_ih, w_hh", `${gates * size} rows, ${gates} times the hidden size`, rows);
  };

/** A recurrent network's weights: as many as its layers, directions and biases ask for, and states to match. */
const recurrent =
  (states: number): Guard =>
  ([input, hidden, weights, biases, layers, , , bidirectional]) => {
    if (!Array.isArray(weights) || !isNumber(layers)) return undefined;
    const wanted = Number(layers) * (biases === true ? 4 : 2) * (bidirectional === true ? 2 : 1);
    if (weights.length !== wanted) return say("params", `${wanted} weights`, weights.length);
    if (Array.isArray(hidden) && hidden.length !== states)
      return say("hx", `${states} states`, hidden.length);
    const dimensions = [input, ...(Array.isArray(hidden) ? hidden : [hidden])].map((x) => shapeOf(x)?.length);
    if (dimensions.some((count) => count !== dimensions[0] || count === undefined || count < 2 || count > 3))
      return say("input, hx", "tensors of 2 or of 3 dimensions", dimensions);
    const flat = weights
      .map((weight) => shapeOf(weight)?.length)
      .find((count) => count === undefined || count < 1 || count > 2);
    return flat === undefined ? undefined : say("params", "matrices and vectors", `${flat} dimensions`);
  };

/** Bounds of random whole numbers that doubles hold. */
const bounded: Guard = ([, ...bounds]) => {
  const far = bounds.find((bound) => isNumber(bound) && !(Math.abs(Number(bound)) <= 2 ** 53));
  return far === undefined ? undefined : say("from, to", "numbers up to 2^53", far);
};

/** Rows that a factorisation swapped, counted from 1. */
const pivots = (at: number, factorAt: number): Guard =>
  contents(at, "pivots", (values) => [1, shapeOf(values[factorAt])?.at(-1) ?? 0]);

/** As {@link pivots}; blocks of two rows have them below zero. */
const blockPivots = (at: number, factorAt: number): Guard => {
  const size = (values: readonly unknown[]): number => shapeOf(values[factorAt])?.at(-1) ?? 0;
  const range = contents(at, "pivots", (values) => [-size(values), size(values)]);
  return both(range, (values) => {
    const [matrix, rows] = [shapeOf(values[factorAt]), shapeOf(values[at])];
    if (matrix === undefined || rows === undefined || rows.at(-1) === matrix.at(-1)) return undefined;
    return say("pivots", `${matrix.at(-1)} in a row`, rows);
  });
};

/** Classes that log-probabilities [T, N, C] or [T, C] have. */
const labels = contents(1, "targets", ([probabilities]) => [0, (shapeOf(probabilities)?.at(-1) ?? 0) - 1]);

/** libtorch offers to leave its checks out. */
const checked =
  (at: number): Guard =>
  (values) =>
    values[at] === true ? say("unsafe", "false", true) : undefined;

/** Powers whose negative exists. */
const exponent: Guard = ([, power]) =>
  isNumber(power) && !(Math.abs(Number(power)) < 2 ** 31)
    ? say("n", "an exponent within ±2^31", power)
    : undefined;

/** Operators that check too little to be worth a guard, and that others stand for. */
const refused =
  (instead: string): Guard =>
  () =>
    `not offered: libtorch ends the process where its arguments do not fit; ${instead}`;
const internal = refused("libtorch calls it itself, use grad() or backward()");
const named = refused("name no dimensions, use permute() and unsqueeze()");
const quantized = refused("quantised operators are in the namespace quantized");
const spaced = refused("give spacing as numbers, or divide by it");
const packed = refused("use the overload over padded sequences, .input");

const bag = both(vector(1, "indices"), vector(2, "offsets"));

const guards: Readonly<Record<string, Guard>> = {
  "aten::adaptive_avg_pool2d": cells(1, "output_size", 2),
  "aten::adaptive_avg_pool3d": cells(1, "output_size", 3),
  "aten::adaptive_max_pool2d": cells(1, "output_size", 2),
  "aten::adaptive_max_pool2d_backward": internal,
  "aten::adaptive_max_pool3d": cells(1, "output_size", 3),
  "aten::adaptive_max_pool3d_backward": internal,
  "aten::align_tensors": named,
  "aten::align_to.ellipsis_idx": named,
  "aten::as_strided": stridedView(1),
  "aten::as_strided_": stridedView(1),
  "aten::as_strided_copy": stridedView(1),
  "aten::as_strided_scatter": stridedView(2),
  "aten::batch_norm_update_stats": refused("use batch_norm"),
  "aten::binomial": refused("use bernoulli and sum"),
  "aten::choose_qparams_optimized": quantized,
  "aten::convolution_backward": internal,
  "aten::ctc_loss.IntList": labels,
  "aten::ctc_loss.Tensor": labels,
  "aten::embedding_backward": internal,
  "aten::embedding_bag": bag,
  "aten::embedding_bag.padding_idx": bag,
  "aten::embedding_dense_backward": internal,
  "aten::embedding_sparse_backward": internal,
  "aten::fractional_max_pool2d_backward": internal,
  "aten::fractional_max_pool3d_backward": internal,
  "aten::gradient.tensorarray": spaced,
  "aten::gradient.tensorarrayint": spaced,
  "aten::gru.data": packed,
  "aten::gru.input": recurrent(1),
  "aten::gru_cell": recurrentCell(3),
  "aten::histogramdd": entries(1, "bins", 1),
  "aten::histogramdd.TensorList_bins": entries(1, "bins", 1),
  "aten::histogramdd.int_bins": entries(1, "bins", 1),
  "aten::linalg_ldl_solve": blockPivots(1, 0),
  "aten::linalg_lu_solve": pivots(1, 0),
  "aten::linalg_matrix_power": exponent,
  "aten::lstm.data": packed,
  "aten::lstm.input": recurrent(2),
  "aten::lstm_cell": both(entries(1, "hx", 2), recurrentCell(4)),
  "aten::lu_solve": pivots(2, 1),
  "aten::lu_unpack": refused("use linalg_lu"),
  "aten::matrix_exp_backward": internal,
  "aten::matrix_power": exponent,
  "aten::max_pool1d": sizes(1, "kernel_size", 1, 1),
  "aten::max_pool1d_with_indices": sizes(1, "kernel_size", 1, 1),
  "aten::max_pool2d_with_indices_backward": internal,
  "aten::max_pool3d_with_indices_backward": internal,
  "aten::max_unpool2d": sizes(2, "output_size", 2, 1),
  "aten::max_unpool3d": sizes(2, "output_size", 3, 1),
  "aten::mkldnn_convolution": refused("use conv2d"),
  "aten::multi_margin_loss_backward": internal,
  "aten::multilabel_margin_loss_backward": internal,
  "aten::native_batch_norm": refused("use batch_norm"),
  "aten::native_batch_norm_backward": internal,
  "aten::native_channel_shuffle": refused("use channel_shuffle"),
  "aten::nll_loss2d_backward": internal,
  "aten::nll_loss_backward": internal,
  "aten::quantized_gru_cell": quantized,
  "aten::quantized_lstm_cell": quantized,
  "aten::quantized_rnn_relu_cell": quantized,
  "aten::quantized_rnn_tanh_cell": quantized,
  "aten::random.from": bounded,
  "aten::random_.from": bounded,
  "aten::reflection_pad1d": entries(1, "padding", 2),
  "aten::reflection_pad1d_backward": internal,
  "aten::reflection_pad2d": entries(1, "padding", 4),
  "aten::reflection_pad2d_backward": internal,
  "aten::reflection_pad3d": entries(1, "padding", 6),
  "aten::reflection_pad3d_backward": internal,
  "aten::repeat_interleave.self_int": repeats,
  "aten::replication_pad1d": entries(1, "padding", 2),
  "aten::replication_pad1d_backward": internal,
  "aten::replication_pad2d": entries(1, "padding", 4),
  "aten::replication_pad2d_backward": internal,
  "aten::replication_pad3d": entries(1, "padding", 6),
  "aten::replication_pad3d_backward": internal,
  "aten::rnn_relu.data": packed,
  "aten::rnn_relu.input": recurrent(1),
  "aten::rnn_relu_cell": recurrentCell(1),
  "aten::rnn_tanh.data": packed,
  "aten::rnn_tanh.input": recurrent(1),
  "aten::rnn_tanh_cell": recurrentCell(1),
  "aten::rrelu_with_noise": sameShape(0, 1, "noise"),
  "aten::rrelu_with_noise_": sameShape(0, 1, "noise"),
  "aten::segment_reduce": checked(6),
  "aten::set_.source_Tensor_storage_offset": stridedView(3, 2),
  "aten::slow_conv3d": refused("use conv3d"),
  "aten::slow_conv3d_forward": refused("use conv3d"),
  "aten::slow_conv_transpose2d": refused("use convTranspose2d"),
  "aten::slow_conv_transpose3d": refused("use conv_transpose3d"),
  "aten::sum_to_size": reachable,
  "aten::thnn_conv2d": refused("use conv2d"),
  "aten::to_sparse_bsc": sizes(1, "blocksize", 2, 1),
  "aten::to_sparse_bsr": sizes(1, "blocksize", 2, 1),
  "aten::unfold_backward": internal,
};

/** What to ask before calling an operator of that full name; undefined for most. */
export function guardOf(name: string, schema: Schema): ((values: readonly unknown[]) => void) | undefined {
  const own = Object.hasOwn(guards, name) ? guards[name] : undefined;
  const general = windows(schema);
  const guard = own && general ? both(own, general) : (own ?? general);
  if (guard === undefined) return undefined;
  return (values) => {
    const refusal = guard(values);
    if (refusal !== undefined) throw new EngineError("BAD_ARGUMENT", `${name}: ${refusal}`);
  };
}
