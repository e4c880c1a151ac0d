import { EngineError, type Tensor } from "@sepc/engine";
import type { Size, Sizes } from "../symbols.js";
import { isRef, type TracedArgument, type TracedNode, type TracedValue, type ValueRef } from "../trace.js";
import type { Graph } from "./graph.js";
import type { ElementType } from "./proto.js";

export interface ExportOptions {
  /** Deformable convolution from operators that every back end has, instead of ONNX's own. */
  readonly portable: boolean;
  /** Most candidates of a level. */
  readonly perLevel: number;
}

/** The bytes of a tensor on any device. */
export function bytesOf(tensor: Tensor): Uint8Array {
  const array = tensor.cpu().contiguous().toTypedArray();
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** One recorded call on its way into a graph: its arguments by the schema's names. */
export class Call {
  constructor(
    readonly graph: Graph,
    readonly sizes: Sizes,
    readonly options: ExportOptions,
    readonly index: number,
  ) {}

  get node(): TracedNode {
    return this.sizes.traces[0]?.nodes[this.index] as TracedNode;
  }

  #at(name: string): number {
    const at = this.node.argumentNames.indexOf(name);
    if (at < 0) throw new Error(`${this.node.name} has no argument ${name}`);
    return at;
  }

  #in(trace: number, name: string): TracedArgument | undefined {
    return this.sizes.traces[trace]?.nodes[this.index]?.arguments[this.#at(name)];
  }

  /** The argument in the first trace; undefined where it was left to its default. */
  argument(name: string): TracedArgument | undefined {
    return this.#in(0, name) ?? undefined;
  }

  ref(name: string): ValueRef | null {
    const found = this.argument(name);
    return isRef(found) ? found : null;
  }

  value(name: string): TracedValue {
    const found = this.ref(name);
    if (found === null) throw this.refused(`its ${name} is no tensor`);
    return this.sizes.traces[0]?.values[found.value] as TracedValue;
  }

  /** Rank of an argument. */
  rank(name: string): number {
    return this.value(name).shape.length;
  }

  /** The value's name in the graph; constants are written where they are first used. */
  name({ value }: ValueRef): string {
    const { graph } = this;
    if (graph.has(value)) return graph.nameOf(value);
    const { constant, shape, dtype } = this.sizes.traces[0]?.values[value] as TracedValue;
    if (constant === null) return graph.nameOf(value);
    const made = graph.tensor(dtype as ElementType, shape, bytesOf(constant), "weight");
    graph.bind(value, made);
    return made;
  }

  tensor(name: string): string {
    return this.optional(name) ?? this.#missing(name);
  }

  #missing(name: string): never {
    throw this.refused(`its ${name} is no tensor`);
  }

  optional(name: string): string | null {
    const ref = this.ref(name);
    return ref === null ? null : this.name(ref);
  }

  tensors(name: string): string[] {
    const list = this.argument(name);
    if (!Array.isArray(list)) throw this.refused(`its ${name} is no list`);
    return (list as TracedArgument[]).map((one) => (isRef(one) ? this.name(one) : this.#missing(name)));
  }

  /** A number that is the same whatever the size. */
  fixed(name: string, otherwise?: number): number {
    const size = this.size(name, otherwise);
    if (size.kind !== "fixed") throw this.refused(`its ${name} depends on the size of the picture`);
    return size.value;
  }

  /** Numbers of all traces. */
  numbers(name: string, otherwise?: number): number[] {
    return this.sizes.traces.map((_, trace) => {
      const found = this.#in(trace, name) ?? otherwise;
      if (typeof found !== "number") throw this.refused(`its ${name} is no number`);
      return found;
    });
  }

  size(name: string, otherwise?: number): Size {
    return this.sizes.resolve(this.numbers(name, otherwise), `${name} of ${this.node.name}`);
  }

  /** A list of numbers, one number standing for `length`. */
  list(name: string, length: number, otherwise: number): number[] {
    const found = this.argument(name) ?? otherwise;
    const list = Array.isArray(found) ? (found as number[]) : Array<number>(length).fill(found as number);
    return list.length === 0 ? Array<number>(length).fill(otherwise) : list;
  }

  /** Numbers of a list in all traces, one size each. */
  sizeList(name: string): Size[] {
    const lists = this.sizes.traces.map((_, trace) => this.#in(trace, name));
    const first = lists[0];
    if (!Array.isArray(first)) throw this.refused(`its ${name} is no list`);
    return first.map((_, i) =>
      this.sizes.resolve(
        lists.map((list) => (list as number[])[i] as number),
        `${name} of ${this.node.name}`,
      ),
    );
  }

  flag(name: string): boolean {
    return this.argument(name) === true;
  }

  /** An axis counted from the front. */
  axis(name: string, of: string, otherwise = -1): number {
    const axis = this.fixed(name, otherwise);
    return axis < 0 ? axis + this.rank(of) : axis;
  }

  result(i = 0): TracedValue {
    return this.sizes.traces[0]?.values[this.node.results[i] as number] as TracedValue;
  }

  refused(reason: string): EngineError {
    return new EngineError("BAD_ARGUMENT", `export: ${this.node.name} cannot be written: ${reason}`);
  }
}

/** Writes a call into the graph; returns the names of its results. */
export type Emit = (call: Call) => string | string[];
