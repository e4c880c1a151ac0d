import type { Graph } from "./graph.js";
import { attribute, type NodeProto, type TensorProto } from "./proto.js";

/** Least and largest value that a tensor takes. */
export type Range = readonly [least: number, largest: number];

/** What is to be quantised: convolutions, and the tensors between them. */
export interface QuantisationPlan {
  readonly convolutions: readonly NodeProto[];
  /** Names of values whose ranges must be known. */
  readonly tensors: readonly string[];
}

const floatsOf = ({ rawData: { buffer, byteOffset, byteLength } }: TensorProto): Float32Array =>
  new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);

function consumersOf(graph: Graph): Map<string, NodeProto[]> {
  const consumers = new Map<string, NodeProto[]>();
  for (const node of graph.nodes)
    for (const name of node.input) {
      const known = consumers.get(name);
      if (known === undefined) consumers.set(name, [node]);
      else known.push(node);
    }
  return consumers;
}

/** Values from which a convolution of features is still to come. */
function leadingOn(graph: Graph): Set<string> {
  const leading = new Set<string>();
  for (const node of [...graph.nodes].reverse()) {
    const convolves = node.opType === "Conv" || node.opType === "DeformConv";
    const [features] = node.input;
    if (convolves && features !== undefined) leading.add(features);
    else if (node.output.some((name) => leading.has(name))) for (const name of node.input) leading.add(name);
  }
  return leading;
}

/**
 * Chooses what runs in 8 bits: all convolutions but the first, those that predict offsets, and the last ones, whose
 * outputs are scores and boxes. There the loss would be largest and the gain smallest. Deformable kernels have no 8-bit
 * form in ONNX.
 */
export function planQuantisation(graph: Graph, input: string): QuantisationPlan {
  const consumers = consumersOf(graph);
  const leading = leadingOn(graph);
  const convolutions = graph.nodes.filter(
    ({ opType, input: [x, weight], output: [y] }) =>
      opType === "Conv" &&
      x !== input &&
      graph.initializers.has(weight as string) &&
      leading.has(y as string),
  );
  const tensors = new Set<string>();
  const add = (name: string): void => {
    const users = consumers.get(name) ?? [];
    const [only] = users;
    if (users.length === 1 && only?.opType === "Relu") add(only.output[0] as string);
    else tensors.add(name);
  };
  for (const { input: inputs, output } of convolutions) {
    tensors.add(inputs[0] as string);
    add(output[0] as string);
  }
  for (const { opType, input: inputs, output } of graph.nodes)
    if (opType === "Add" && inputs.every((name) => tensors.has(name))) add(output[0] as string);
  return { convolutions, tensors: [...tensors] };
}

interface Scale {
  readonly scale: number;
  readonly zero: number;
}

/** Zero is a value that 8 bits must hold exactly: maps are padded with it. */
function scaleOf([least, largest]: Range): Scale {
  const [from, to] = [Math.min(least, 0), Math.max(largest, 0)];
  const scale = Math.max((to - from) / 255, 1e-8);
  return { scale, zero: Math.min(255, Math.max(0, Math.round(-from / scale))) };
}

/** Places the pair after a value; all that read it read what comes out. */
function quantiseValue(graph: Graph, name: string, { scale, zero }: Scale): NodeProto[] {
  const factor = graph.constant("float32", [], [scale]);
  const offset = graph.constant("uint8", [], [zero]);
  const [small, again] = [`${name}_8bit`, `${name}_again`];
  for (const node of graph.nodes) node.input = node.input.map((one) => (one === name ? again : one));
  const pair = (opType: string, from: string, to: string): NodeProto => ({
    input: [from, factor, offset],
    output: [to],
    name: to,
    opType,
    attribute: [],
  });
  return [pair("QuantizeLinear", name, small), pair("DequantizeLinear", small, again)];
}

function dequantised(graph: Graph, value: string, scales: readonly number[], zero: string): NodeProto {
  const name = graph.fresh("dequantised");
  const factor = graph.constant("float32", [scales.length], scales);
  return {
    input: [value, factor, zero],
    output: [name],
    name,
    opType: "DequantizeLinear",
    attribute: [attribute("axis", 0)],
  };
}

interface SmallWeight {
  /** Name of the int8 constant. */
  readonly bytes: string;
  /** For each output channel. */
  readonly scales: readonly number[];
}

/** A kernel in 8 bits, a scale for each output channel. */
function quantiseWeight(graph: Graph, weight: TensorProto): SmallWeight {
  const values = floatsOf(weight);
  const out = weight.dims[0] as number;
  const size = values.length / out;
  const scales = Array.from({ length: out }, (_, o) => {
    const row = values.subarray(o * size, (o + 1) * size);
    return Math.max(row.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127, 1e-8);
  });
  const small = Int8Array.from(values, (value, i) =>
    Math.round(value / (scales[Math.floor(i / size)] as number)),
  );
  return { bytes: graph.tensor("int8", weight.dims, new Uint8Array(small.buffer), "weight"), scales };
}

/** A convolution with its kernel in 8 bits and its bias in 32, whose steps follow from those of the input. */
function quantiseConvolution(
  graph: Graph,
  node: NodeProto,
  input: Scale,
  { bytes, scales }: SmallWeight,
): NodeProto[] {
  const [x, , biasName] = node.input as [string, string, string | undefined];
  const out = scales.length;
  const made = [dequantised(graph, bytes, scales, graph.constant("int8", [out], Array<number>(out).fill(0)))];
  if (biasName !== undefined) {
    const bias = floatsOf(graph.initializers.get(biasName) as TensorProto);
    const steps = scales.map((scale) => scale * input.scale);
    const limit = 2 ** 31 - 1;
    const whole = Int32Array.from(bias, (value, i) =>
      Math.max(-limit, Math.min(limit, Math.round(value / (steps[i] as number)))),
    );
    const name = graph.tensor("int32", [out], new Uint8Array(whole.buffer), "bias");
    made.push(dequantised(graph, name, steps, graph.constant("int32", [out], Array<number>(out).fill(0))));
  }
  node.input = [x, ...made.map(({ output: [name] }) => name as string)];
  return made;
}

/** Nodes in an order in which each comes after what it reads. */
function ordered(graph: Graph, nodes: readonly NodeProto[]): NodeProto[] {
  const makers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const done = new Set<NodeProto>();
  const order: NodeProto[] = [];
  const visit = (node: NodeProto): void => {
    if (done.has(node)) return;
    done.add(node);
    for (const name of node.input) {
      const maker = graph.initializers.has(name) ? undefined : makers.get(name);
      if (maker !== undefined) visit(maker);
    }
    order.push(node);
  };
  for (const node of nodes) visit(node);
  return order;
}

/**
 * Puts convolutions and what lies between them into 8 bits, in the form of QuantizeLinear and DequantizeLinear pairs that
 * back ends fuse: weights int8 for each output channel, activations uint8 by the ranges.
 */
export function quantise(
  graph: Graph,
  { convolutions, tensors }: QuantisationPlan,
  ranges: ReadonlyMap<string, Range>,
): void {
  const scales = new Map(tensors.map((name) => [name, scaleOf(ranges.get(name) ?? [0, 0])]));
  // A kernel that several levels share has one form for all; only its bias follows the input's scale.
  const weights = new Map<string, SmallWeight>();
  const weightOf = (name: string): SmallWeight => {
    const made = weights.get(name) ?? quantiseWeight(graph, graph.initializers.get(name) as TensorProto);
    weights.set(name, made);
    return made;
  };
  const made = convolutions.flatMap((node) => {
    const [x, weight] = node.input as [string, string];
    return quantiseConvolution(graph, node, scales.get(x) as Scale, weightOf(weight));
  });
  for (const name of tensors) made.push(...quantiseValue(graph, name, scales.get(name) as Scale));
  const used = new Set([...graph.nodes, ...made].flatMap(({ input }) => input));
  for (const name of [...graph.initializers.keys()]) if (!used.has(name)) graph.initializers.delete(name);
  const nodes = ordered(graph, [...graph.nodes, ...made]);
  graph.nodes.splice(0, graph.nodes.length, ...nodes);
  graph.forget();
}
