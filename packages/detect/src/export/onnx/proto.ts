import protobuf from "protobufjs";

/** Numbers of ONNX's element types. */
export const elementTypes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 } as const;
export type ElementType = keyof typeof elementTypes;

/** A field: its type and number; repeated where there is a third part. */
type Field = readonly [type: string, id: number, repeated?: true];

const message = (fields: Readonly<Record<string, Field>>): protobuf.IType => ({
  fields: Object.fromEntries(
    Object.entries(fields).map(([name, [type, id, repeated]]) => [
      name,
      repeated ? { rule: "repeated", type, id } : { type, id },
    ]),
  ),
});

/** The part of ONNX's format that is written here; names and numbers are the standard's (onnx.proto, IR version 9). */
const root = protobuf.Root.fromJSON({
  nested: {
    Entry: message({ key: ["string", 1], value: ["string", 2] }),
    Opset: message({ domain: ["string", 1], version: ["int64", 2] }),
    Dimension: message({ dimValue: ["int64", 1], dimParam: ["string", 2] }),
    Shape: message({ dim: ["Dimension", 1, true] }),
    TensorType: message({ elemType: ["int32", 1], shape: ["Shape", 2] }),
    Type: message({ tensorType: ["TensorType", 1] }),
    ValueInfo: message({ name: ["string", 1], type: ["Type", 2] }),
    Tensor: message({
      dims: ["int64", 1, true],
      dataType: ["int32", 2],
      name: ["string", 8],
      rawData: ["bytes", 9],
    }),
    Attribute: message({
      name: ["string", 1],
      f: ["float", 2],
      i: ["int64", 3],
      s: ["bytes", 4],
      floats: ["float", 7, true],
      ints: ["int64", 8, true],
      type: ["int32", 20],
    }),
    Node: message({
      input: ["string", 1, true],
      output: ["string", 2, true],
      name: ["string", 3],
      opType: ["string", 4],
      attribute: ["Attribute", 5, true],
    }),
    Graph: message({
      node: ["Node", 1, true],
      name: ["string", 2],
      initializer: ["Tensor", 5, true],
      input: ["ValueInfo", 11, true],
      output: ["ValueInfo", 12, true],
    }),
    Model: message({
      irVersion: ["int64", 1],
      producerName: ["string", 2],
      producerVersion: ["string", 3],
      graph: ["Graph", 7],
      opsetImport: ["Opset", 8, true],
      metadataProps: ["Entry", 14, true],
    }),
  },
});

export interface AttributeProto {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly floats?: readonly number[];
  readonly ints?: readonly number[];
}

export interface NodeProto {
  input: string[];
  output: string[];
  readonly name: string;
  readonly opType: string;
  readonly attribute: readonly AttributeProto[];
}

export interface TensorProto {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly rawData: Uint8Array;
}

export interface ValueInfoProto {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: { readonly dim: readonly ({ dimValue: number } | { dimParam: string })[] };
    };
  };
}

export interface ModelProto {
  readonly irVersion: number;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[];
  readonly metadataProps: readonly { readonly key: string; readonly value: string }[];
  readonly graph: {
    readonly name: string;
    readonly node: readonly NodeProto[];
    readonly initializer: readonly TensorProto[];
    readonly input: readonly ValueInfoProto[];
    readonly output: readonly ValueInfoProto[];
  };
}

const attributeTypes = { f: 1, i: 2, s: 3, floats: 6, ints: 7 } as const;

export type AttributeValue = number | string | readonly number[];

/** Whole numbers become ints unless `float` says otherwise. */
export function attribute(name: string, value: AttributeValue, float = false): AttributeProto {
  if (typeof value === "string") return { name, type: attributeTypes.s, s: new TextEncoder().encode(value) };
  if (typeof value === "number")
    return float ? { name, type: attributeTypes.f, f: value } : { name, type: attributeTypes.i, i: value };
  return float
    ? { name, type: attributeTypes.floats, floats: value }
    : { name, type: attributeTypes.ints, ints: value };
}

export function valueInfo(
  name: string,
  type: ElementType,
  dims: readonly (number | string)[],
): ValueInfoProto {
  const dim = dims.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: elementTypes[type], shape: { dim } } } };
}

/** The bytes of an ONNX file. */
export function encodeModel(model: ModelProto): Uint8Array {
  const type = root.lookupType("Model");
  return type.encode(type.create(model as unknown as protobuf.Properties<object>)).finish();
}
