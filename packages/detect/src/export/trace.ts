import {
  type DType,
  EngineError,
  inferenceMode,
  type OpResult,
  type OpValue,
  randn,
  type Schema,
  scope,
  setRecorder,
  Tensor,
} from "@sepc/engine";

/** Place of a tensor in a trace's `values`. */
export interface ValueRef {
  readonly value: number;
}

/** An argument as it was given, tensors by reference. */
export type TracedArgument = ValueRef | number | boolean | string | null | readonly TracedArgument[];

export const isRef = (argument: TracedArgument | undefined): argument is ValueRef =>
  typeof argument === "object" && argument !== null && "value" in argument;

export interface TracedValue {
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** The numbers, where they do not depend on the input. */
  readonly constant: Tensor | null;
  /** Whether it shows another value's memory. */
  readonly view: boolean;
}

export interface TracedNode {
  /** As "aten::conv2d". */
  readonly name: string;
  readonly arguments: readonly TracedArgument[];
  readonly argumentNames: readonly string[];
  readonly results: readonly number[];
}

/** One forward pass as the calls that passed the engine's door. */
export interface Trace {
  readonly values: readonly TracedValue[];
  readonly nodes: readonly TracedNode[];
  readonly input: number;
  /** Values by the names that the traced function gave them. */
  readonly outputs: ReadonlyMap<string, number>;
}

const views = new Set(
  [
    "reshape",
    "view",
    "permute",
    "transpose",
    "expand",
    "narrow",
    "split",
    "select",
    "squeeze",
    "unsqueeze",
  ].map((name) => `aten::${name}`),
);

class Recording {
  readonly values: TracedValue[] = [];
  readonly nodes: TracedNode[] = [];
  readonly #places = new Map<Tensor, number>();

  add(tensor: Tensor, constant: boolean, view = false): number {
    const { shape, dtype } = tensor;
    const kept = constant ? tensor : null;
    this.values.push({ shape, dtype, constant: kept, view });
    this.#places.set(tensor, this.values.length - 1);
    return this.values.length - 1;
  }

  placeOf(tensor: Tensor): number {
    return this.#places.get(tensor) ?? this.add(tensor, true);
  }

  argument(value: OpValue): TracedArgument {
    if (value instanceof Tensor) return { value: this.placeOf(value) };
    if (Array.isArray(value)) return value.map((one: OpValue) => this.argument(one));
    if (typeof value === "bigint") return Number(value);
    if (typeof value === "object" && value !== null)
      throw new EngineError("BAD_ARGUMENT", "export: the network draws random numbers in its forward pass");
    return value ?? null;
  }

  record(name: string, schema: Schema, values: readonly OpValue[], result: OpResult): void {
    const given = values.map((value) => this.argument(value));
    const inputs = given.flat(2).filter(isRef);
    for (const [i, { written }] of schema.arguments.entries()) {
      const target = given[i];
      if (written && isRef(target) && this.values[target.value]?.view)
        throw new EngineError("BAD_ARGUMENT", `export: ${name} writes into a part of another tensor`);
    }
    const constant = inputs.length > 0 && inputs.every(({ value }) => this.values[value]?.constant !== null);
    const view = views.has(name.split(".")[0] as string);
    const results = (Array.isArray(result) ? result : [result]).filter((one) => one instanceof Tensor);
    const places = results.map((one) => this.add(one, constant, view));
    if (constant) return;
    const argumentNames = schema.arguments.map((argument) => argument.name);
    this.nodes.push({ name, arguments: given, argumentNames, results: places });
  }
}

/**
 * Records what a function does with normalised pictures [N, 3, H, W]. Values that do not depend on them are constants,
 * whatever operators made them. The tensors live until the surrounding scope ends.
 * @param run returns the values that are wanted, by name
 * @throws EngineError BAD_ARGUMENT when it does what no graph can
 */
export function record(
  shape: readonly [number, number, number, number],
  run: (images: Tensor) => ReadonlyMap<string, Tensor>,
): Trace {
  return inferenceMode(() => {
    const images = randn(shape);
    const recording = new Recording();
    const input = recording.add(images, false);
    const before = setRecorder(recording);
    try {
      const outputs = [...run(images)].map(([name, tensor]) => [name, recording.placeOf(tensor)] as const);
      return { values: recording.values, nodes: recording.nodes, input, outputs: new Map(outputs) };
    } finally {
      setRecorder(before);
    }
  });
}

/**
 * Sizes of pictures that are recorded: sides that levels of a pyramid cannot share by chance, and whose coarsest level has
 * cells left where maps are cut (the official code's extra convolutions without padding).
 */
const recordedShapes: readonly (readonly [number, number, number, number])[] = [
  [2, 3, 288, 352],
  [3, 3, 416, 480],
  [5, 3, 352, 608],
];

/** Records the same function for pictures of several sizes: what differs between them depends on the size. */
export function recordSizes<T>(
  run: (images: Tensor) => ReadonlyMap<string, Tensor>,
  use: (traces: readonly Trace[]) => T,
): T {
  return scope(() => {
    const traces = recordedShapes.map((shape) => record(shape, run));
    const [first, ...others] = traces as [Trace, ...Trace[]];
    for (const other of others) {
      const differs = other.nodes.findIndex((node, i) => node.name !== first.nodes[i]?.name);
      if (differs >= 0 || other.nodes.length !== first.nodes.length)
        throw new EngineError(
          "BAD_ARGUMENT",
          `export: the network does other things for other sizes (call ${differs}, ${other.nodes[differs]?.name})`,
        );
    }
    return use(traces);
  });
}
