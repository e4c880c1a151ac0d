import { EngineError } from "@sepc/engine";
import type { Size } from "../symbols.js";
import {
  type AttributeValue,
  attribute,
  type ElementType,
  elementTypes,
  type NodeProto,
  type TensorProto,
} from "./proto.js";

/** Attributes of a node; `floats` names those that are no whole numbers by nature. */
export interface Attributes {
  readonly [name: string]: AttributeValue;
}

const floatAttributes = new Set(["epsilon", "alpha", "cubic_coeff_a", "extrapolation_value"]);

const typedArrays = {
  float32: Float32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: Uint16Array,
} as const;

/** A graph that grows node by node; values are names. */
export class Graph {
  readonly nodes: NodeProto[] = [];
  readonly initializers = new Map<string, TensorProto>();
  readonly #made = new Map<string, string>();
  readonly #names = new Map<number, string>();
  #count = 0;

  fresh(hint: string): string {
    return `${hint}_${this.#count++}`;
  }

  /** The name that a traced value has in the graph. */
  nameOf(value: number): string {
    const name = this.#names.get(value);
    if (name === undefined)
      throw new EngineError("BAD_ARGUMENT", `export: value ${value} is used before it is made`);
    return name;
  }

  has(value: number): boolean {
    return this.#names.has(value);
  }

  bind(value: number, name: string): void {
    this.#names.set(value, name);
  }

  /** Nodes and constants made so far are not found again: they have changed. */
  forget(): void {
    this.#made.clear();
  }

  /** Adds a node with several results. */
  nodeOf(opType: string, input: readonly string[], outputs: number, attributes: Attributes = {}): string[] {
    const output = Array.from({ length: outputs }, () => this.fresh(opType));
    this.nodes.push({
      input: [...input],
      output,
      name: output[0] as string,
      opType,
      attribute: Object.entries(attributes).map(([name, value]) =>
        attribute(name, value, floatAttributes.has(name)),
      ),
    });
    return output;
  }

  /** Adds a node of one result, or finds the same one again. */
  node(opType: string, input: readonly string[], attributes: Attributes = {}): string {
    const key = `${opType}(${input.join(",")})${JSON.stringify(attributes)}`;
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const [made] = this.nodeOf(opType, input, 1, attributes) as [string];
    this.#made.set(key, made);
    return made;
  }

  /** A constant of bytes in little-endian order. */
  tensor(dtype: ElementType, dims: readonly number[], rawData: Uint8Array, hint = "constant"): string {
    const name = this.fresh(hint);
    this.initializers.set(name, { name, dims, dataType: elementTypes[dtype], rawData });
    return name;
  }

  /** A small constant; the same one is made once. */
  constant(dtype: ElementType, dims: readonly number[], values: readonly number[]): string {
    const key = `${dtype}[${dims.join(",")}]${values.join(",")}`;
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const array =
      dtype === "int64" ? BigInt64Array.from(values, BigInt) : new typedArrays[dtype as "float32"](values);
    const made = this.tensor(dtype, dims, new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    this.#made.set(key, made);
    return made;
  }

  ints(values: readonly number[]): string {
    return this.constant("int64", [values.length], values);
  }

  /** A size as a value of one number, int64 [1]. */
  size(size: Size): string {
    if (size.kind === "fixed") return this.ints([size.value]);
    if (size.kind === "sum") return this.node("Add", size.terms.map((term) => this.size(term)) as string[]);
    const shape = this.node("Shape", [this.nameOf(size.value)]);
    return this.node("Gather", [shape, this.ints([size.axis])], { axis: 0 });
  }

  /** Sizes side by side as a shape, int64 [n]; neighbouring constants are joined. */
  shape(sizes: readonly Size[]): string {
    const parts: string[] = [];
    for (let i = 0; i < sizes.length; ) {
      const run: number[] = [];
      for (let size = sizes[i]; size?.kind === "fixed"; size = sizes[++i]) run.push(size.value);
      if (run.length > 0) parts.push(this.ints(run));
      else parts.push(this.size(sizes[i++] as Size));
    }
    return parts.length === 1 ? (parts[0] as string) : this.node("Concat", parts, { axis: 0 });
  }
}
