// libtorch trusts the arguments of a few operators: where these are malformed, it reads beyond its memory, divides by
// zero (which is a signal, not an exception) or loops without end, and the process is gone. Each has a guard here that
// the door asks before the call; all other operators pay nothing. test/door-fuzz is how they were found.
import { EngineError } from "./errors.js";
import { Tensor } from "./tensor.js";

/** Arguments in the order of the schema. What a guard cannot read it leaves to the door, which refuses it. */
type Guard = (values: readonly unknown[]) => string | undefined;

const isNumber = (value: unknown): value is number | bigint =>
  typeof value === "number" || typeof value === "bigint";

/** A list of numbers, or one that stands for `length`; undefined for anything else. */
function numbers(value: unknown, length = 1): number[] | undefined {
  if (isNumber(value)) return Array<number>(length).fill(Number(value));
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return Array.from(value as unknown as number[], Number);
  return Array.isArray(value) && value.every(isNumber) ? value.map(Number) : undefined;
}

function shapeOf(value: unknown): number[] | undefined {
  return value instanceof Tensor && value.handle >= 0 ? value.shape : undefined;
}

const say = (argument: string, expected: string, got: unknown): string =>
  `argument "${argument}": expected ${expected}, got ${Array.isArray(got) ? `[${got.join(", ")}]` : String(got)}`;

/** `count` integers of at least `least` and below 2^31; defaults are right. */
function sizes(at: number, argument: string, count: number, least: number): Guard {
  return (values) => {
    const found = numbers(values[at], count);
    if (
      found === undefined ||
      (found.length === count && found.every((size) => size >= least && size < 2 ** 31))
    )
      return;
    return say(argument, `${count} integers from ${least} to 2^31 - 1`, found);
  };
}

function vector(at: number, argument: string): Guard {
  return (values) => {
    const shape = shapeOf(values[at]);
    return shape === undefined || shape.length === 1
      ? undefined
      : say(argument, "a vector", `shape [${shape.join(", ")}]`);
  };
}

function listOf(at: number, argument: string, least: number): Guard {
  return ({ [at]: list }) =>
    Array.isArray(list) && list.length < least
      ? say(argument, `at least ${least} entries`, list.length)
      : undefined;
}

const all =
  (...guards: Guard[]): Guard =>
  (values) => {
    for (const guard of guards) {
      const refusal = guard(values);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  };

/** libtorch checks that a strided view stays inside its memory with sums that overflow. */
const stridedView: Guard = (values) => {
  const [size, stride, offset] = [numbers(values[1]), numbers(values[2]), numbers(values[3] ?? 0)];
  if (size === undefined || stride === undefined || offset === undefined) return;
  const reach = size.reduce(
    (sum, extent, i) => sum + Math.abs(extent * (stride[i] ?? 0)),
    Math.abs(offset[0] ?? 0),
  );
  return reach < 2 ** 53 ? undefined : say("storage_offset", "a view that ends before element 2^53", reach);
};

const channelGroups: Guard = ([x, groups]) => {
  const channels = shapeOf(x)?.[1];
  if (channels === undefined || !isNumber(groups)) return;
  const count = Number(groups);
  return count > 0 && channels % count === 0
    ? undefined
    : say("groups", `a divisor of ${channels} channels`, groups);
};

/** The gradient must have the shape that `unfold` of `input_sizes` gives. */
const unfoldGradient: Guard = ([gradient, inputSizes, dim, size, step]) => {
  const [shape, input] = [shapeOf(gradient), numbers(inputSizes)];
  if (shape === undefined || input === undefined || !isNumber(dim) || !isNumber(size) || !isNumber(step))
    return;
  const at = Number(dim) < 0 ? Number(dim) + input.length : Number(dim);
  const extent = input[at];
  if (extent === undefined || Number(step) < 1 || Number(size) < 1 || Number(size) > extent)
    return say("size", "a window within input_sizes, moved by 1 or more", [dim, size, step]);
  const expected = [...input, Number(size)];
  expected[at] = Math.floor((extent - Number(size)) / Number(step)) + 1;
  return String(shape) === String(expected)
    ? undefined
    : say("grad_in", `shape [${expected.join(", ")}]`, shape);
};

const quantileBins: Guard = ([x, numel, bins]) => {
  const count = shapeOf(x)?.reduce((product, extent) => product * extent, 1);
  if (count === undefined || !isNumber(numel) || !isNumber(bins)) return;
  if (Number(numel) < 1 || Number(numel) > count) return say("numel", `1 to ${count}`, numel);
  return Number(bins) >= 1 && Number(bins) <= 65536 ? undefined : say("n_bins", "1 to 65536", bins);
};

const ellipsis: Guard = ([, order, at]) =>
  Array.isArray(order) && isNumber(at) && (Number(at) < 0 || Number(at) > order.length)
    ? say("ellipsis_idx", `0 to ${order.length}`, at)
    : undefined;

const bag = all(vector(1, "indices"), vector(2, "offsets"));
const convolution3d = all(sizes(2, "kernel_size", 3, 1), sizes(4, "stride", 3, 1), sizes(5, "padding", 3, 0));

const guards: Readonly<Record<string, Guard>> = {
  "aten::adaptive_avg_pool3d": sizes(1, "output_size", 3, 0),
  "aten::align_tensors": listOf(0, "tensors", 1),
  "aten::align_to.ellipsis_idx": ellipsis,
  "aten::as_strided": stridedView,
  "aten::as_strided_": stridedView,
  "aten::as_strided_copy": stridedView,
  "aten::choose_qparams_optimized": quantileBins,
  "aten::embedding_bag": bag,
  "aten::embedding_bag.padding_idx": bag,
  "aten::histogramdd": listOf(1, "bins", 1),
  "aten::histogramdd.int_bins": listOf(1, "bins", 1),
  "aten::histogramdd.TensorList_bins": listOf(1, "bins", 1),
  "aten::native_channel_shuffle": channelGroups,
  "aten::quantized_lstm_cell": listOf(1, "hx", 2),
  "aten::slow_conv3d": convolution3d,
  "aten::slow_conv3d_forward": convolution3d,
  "aten::to_sparse_bsc": sizes(1, "blocksize", 2, 1),
  "aten::to_sparse_bsr": sizes(1, "blocksize", 2, 1),
  "aten::unfold_backward": unfoldGradient,
};

/** What to ask before calling the operator of that full name; undefined for all but a few. */
export function guardOf(name: string): ((values: readonly unknown[]) => void) | undefined {
  const guard = Object.hasOwn(guards, name) ? guards[name] : undefined;
  if (guard === undefined) return undefined;
  return (values) => {
    const refusal = guard(values);
    if (refusal !== undefined) throw new EngineError("BAD_ARGUMENT", `${name}: ${refusal}`);
  };
}
