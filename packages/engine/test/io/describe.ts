import { io, Tensor } from "../../src/index.js";

/** A form that JSON holds; fixtures/make.py writes what it expects in the same. */
export type Description =
  | null
  | boolean
  | number
  | string
  | Description[]
  | { [kind: string]: Description | undefined };

function number(value: number | bigint): Description {
  if (typeof value === "bigint") {
    return Number.isSafeInteger(Number(value)) ? Number(value) : { $integer: String(value) };
  }
  if (Object.is(value, -0)) return { $number: "-0" };
  return Number.isFinite(value) ? value : { $number: String(value) };
}

function elements(tensor: Tensor): Description[] {
  const { dtype } = tensor;
  if (dtype === "int64") return Array.from(tensor.toTypedArray() as BigInt64Array, number);
  const nested: unknown[] = [tensor.tolist()];
  const flat = nested.flat(Number.POSITIVE_INFINITY) as number[];
  return dtype === "bool" ? flat.map(Boolean) : flat.map(number);
}

function ofTensor(tensor: Tensor): Description {
  return {
    $tensor: tensor.dtype,
    shape: tensor.shape,
    strides: tensor.strides,
    requiresGrad: tensor.requiresGrad,
    elements: elements(tensor),
  };
}

/** What a checkpoint held. */
export function describeValue(value: io.PyTorchValue): Description {
  if (value instanceof Tensor) return ofTensor(value);
  if (value instanceof Uint8Array) return { $bytes: [...value] };
  if (Array.isArray(value)) return value.map(describeValue);
  if (value instanceof Set) return { $set: [...value].map(describeValue) };
  if (value instanceof Map) {
    return { $dict: [...value].map(([key, one]): Description => [describeValue(key), describeValue(one)]) };
  }
  if (value instanceof io.PickledGlobal) return { $global: String(value) };
  if (value instanceof io.PickledObject) {
    const { module, name, state } = value;
    const args = value.args.map((one) => describeValue(one as io.PyTorchValue));
    const object: Description = { $object: `${module}.${name}`, args };
    return state === undefined ? object : { ...object, state: describeValue(state as io.PyTorchValue) };
  }
  return typeof value === "number" || typeof value === "bigint" ? number(value) : value;
}
