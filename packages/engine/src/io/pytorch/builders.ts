// PyTorch's own functions and classes that stand in checkpoints (torch/_utils.py, torch/_tensor.py).
import { DTYPES, isDType } from "../../dtype.js";
import type { PickleMachine } from "../pickle/machine.js";
import { kindOf, PickledGlobal } from "../pickle/objects.js";
import { type Builder, canonical, isSize, sizesOf, Unsupported } from "../pickle/python.js";
import { PickledTensor, StorageSpan } from "./storages.js";
import { type MakeTensor, variableBuilders } from "./variables.js";

/** One more than the largest offset of an element, counted from the tensor's first; sizes of 0 count as 1. */
function reach(shape: readonly number[], strides: readonly number[]): number {
  return shape.reduce((last, size, i) => last + Math.max(size - 1, 0) * (strides[i] as number), 1);
}

function checkFits(
  span: StorageSpan,
  itemBytes: number,
  [offset, shape, strides]: readonly [number, readonly number[], readonly number[]],
  m: PickleMachine,
): void {
  const numel = shape.reduce((product, size) => product * Math.max(size, 1), 1);
  const end = offset + reach(shape, strides);
  if (!Number.isSafeInteger(numel * itemBytes) || !Number.isSafeInteger(end * itemBytes))
    m.fail(`tensor of shape [${shape.join(", ")}]: expected less than 2^53 bytes`);
  if (shape.includes(0)) return;
  const held = Math.floor((span.numel * span.storage.elements.bytes) / itemBytes);
  if (end > held) {
    m.fail(
      `tensor of shape [${shape.join(", ")}], strides [${strides.join(", ")}], offset ${offset}: ` +
        `ends at element ${end} of its storage "${span.storage.key}", which has ${held}`,
    );
  }
}

/** `dtype`: of the storage unless told. */
function tensorOver(
  [span, offset, size, stride]: readonly unknown[],
  requiresGrad: unknown,
  m: PickleMachine,
  dtype?: string,
): PickledTensor {
  if (!(span instanceof StorageSpan)) m.fail(`tensor: expected a storage, got ${kindOf(span)}`);
  const name = dtype ?? span.storage.elements.name;
  // Bytes of a bool other than 0 and 1 are put right as they are read, in storages of bools.
  const isMixed = name === "bool" && span.storage.elements.name !== "bool";
  if (!isDType(name) || isMixed) throw new Unsupported(`tensors of ${name}${isMixed ? " over bytes" : ""}`);
  if (!isSize(offset)) m.fail(`tensor: expected a non-negative integer as offset, got ${kindOf(offset)}`);
  const shape = sizesOf(size, "tensor's shape", m);
  const strides = sizesOf(stride, "tensor's strides", m);
  if (shape.length !== strides.length)
    m.fail(`tensor: expected as many strides as sizes, got ${strides.length} and ${shape.length}`);
  const itemBytes = DTYPES[name].bytes;
  checkFits(span, itemBytes, [offset, shape, strides], m);
  const first = (span.first * span.storage.elements.bytes) / itemBytes;
  if (!Number.isSafeInteger(first)) m.fail(`tensor of ${name}: its storage starts between two elements`);
  const tensor = new PickledTensor(span.storage, name, first + offset, shape, strides, false);
  return requiresGrad === true ? tensor.withRequiresGrad(true) : tensor;
}

/** Views of complex tensors can be negated or conjugated when read; PyTorch says so in the metadata. */
function checkMetadata(metadata: unknown): void {
  if (metadata instanceof Map && [...metadata.values()].includes(true))
    throw new Unsupported("conjugated and negated views");
}

/** (storage, offset, size, stride) */
const tensorOf: MakeTensor = (args, m) => tensorOver(args, false, m);

/** (storage, offset, size, stride, requires_grad, backward_hooks, metadata) */
const rebuildTensorV2: Builder = (args, m) => {
  checkMetadata(args[6]);
  return tensorOver(args, args[4], m);
};

/** (storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata) */
const rebuildTensorV3: Builder = (args, m) => {
  const dtype = args[6];
  if (typeof dtype !== "string") return m.fail(`tensor: expected a dtype, got ${kindOf(dtype)}`);
  checkMetadata(args[7]);
  return tensorOver(args, args[4], m, dtype);
};

/** (data, requires_grad, backward_hooks, state) */
const rebuildParameter: Builder = ([data, requiresGrad], m) => {
  if (!(data instanceof PickledTensor)) return m.fail(`parameter: expected a tensor, got ${kindOf(data)}`);
  return data.withRequiresGrad(requiresGrad === true);
};

const rebuilders: ReadonlyMap<string, Builder> = new Map([
  ["torch._utils._rebuild_tensor", tensorOf],
  ["torch._utils._rebuild_tensor_v2", rebuildTensorV2],
  ["torch._utils._rebuild_tensor_v3", rebuildTensorV3],
  ["torch._utils._rebuild_parameter", rebuildParameter],
  ["torch._utils._rebuild_parameter_with_state", rebuildParameter],
]);

/** (function, class, arguments, attributes): a tensor that was given attributes of its own, which are left out. */
const rebuildFromType: Builder = ([callable, type, args], m) => {
  const build =
    callable instanceof PickledGlobal ? rebuilders.get(canonical(callable.module, callable.name)) : undefined;
  if (build === undefined) throw new Unsupported(`tensors made by ${kindOf(callable)}`);
  if (!(type instanceof PickledGlobal) || !torchClasses.has(String(type)))
    throw new Unsupported(`tensors of class ${kindOf(type)}`);
  if (!Array.isArray(args)) return m.fail(`tensor: expected a tuple of arguments, got ${kindOf(args)}`);
  return build(args, m);
};

const unsupported =
  (what: string): Builder =>
  () => {
    throw new Unsupported(what);
  };

const size: Builder = ([sizes], m) => sizesOf(sizes ?? [], "torch.Size", m);

const device: Builder = ([type, index], m) => {
  const isIndex = index === undefined || isSize(index);
  if (typeof type !== "string" || !isIndex)
    return m.fail(`torch.device: expected a name, got ${kindOf(type)}`);
  m.budget.copy(type.length);
  return index === undefined ? type : `${type}:${index}`;
};

const text: Builder = ([value], m) =>
  typeof value === "string" ? value : m.fail(`expected text, got ${kindOf(value)}`);

/** By full name. */
export const torchBuilders: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ...rebuilders,
  ...variableBuilders(tensorOf),
  ["torch._tensor._rebuild_from_type_v2", rebuildFromType],
  ["torch._tensor._rebuild_from_type", rebuildFromType],
  ["torch._utils._rebuild_sparse_tensor", unsupported("sparse tensors")],
  ["torch._utils._rebuild_sparse_csr_tensor", unsupported("sparse tensors")],
  ["torch._utils._rebuild_qtensor", unsupported("quantised tensors")],
  ["torch._utils._rebuild_meta_tensor_no_storage", unsupported("meta tensors, which have no elements,")],
  ["torch._utils._rebuild_nested_tensor", unsupported("nested tensors")],
  ["torch._utils._rebuild_wrapper_subclass", unsupported("tensors of a class of their own")],
  ["torch._utils._rebuild_device_tensor_from_numpy", unsupported("tensors of devices without storages")],
  ["torch.Size", size],
  ["torch.device", device],
  ["torch.torch_version.TorchVersion", text],
  ["torch.serialization._get_layout", text],
]);

/** Classes that stand as arguments and are never made here. */
export const torchClasses: ReadonlySet<string> = new Set([
  "torch.Tensor",
  "torch._tensor.Tensor",
  "torch.nn.parameter.Parameter",
  "torch.nn.parameter.Buffer",
]);

const constants =
  "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool complex32 complex64 " +
  "complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 " +
  "bits8 bits16 bits1x8 bits2x4 bits4x2 quint8 qint8 qint32 quint4x2 quint2x4 per_tensor_affine " +
  "per_channel_affine per_tensor_symmetric per_channel_symmetric per_channel_affine_float_qparams strided " +
  "sparse_coo sparse_csr contiguous_format channels_last channels_last_3d preserve_format";

/** dtypes, layouts and memory formats: each is the text of its name, "float32" for torch.float32. */
export const torchConstants: ReadonlySet<string> = new Set(
  constants.split(" ").map((name) => `torch.${name}`),
);
