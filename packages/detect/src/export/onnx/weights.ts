import { createHash } from "node:crypto";
import type { Graph } from "./graph.js";
import type { NodeProto, TensorProto } from "./proto.js";

/** Whole numbers of an int64 constant. */
const integersOf = ({ rawData: { buffer, byteOffset, byteLength } }: TensorProto): number[] =>
  Array.from(new BigInt64Array(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer), Number);

/** Rows of a constant's first axis. */
function rowsOf(graph: Graph, name: string, start: number, count: number): string {
  const { dims, dataType, rawData } = graph.initializers.get(name) as TensorProto;
  const rowBytes = rawData.length / (dims[0] as number);
  const part = graph.fresh(name);
  graph.initializers.set(part, {
    name: part,
    dims: [count, ...dims.slice(1)],
    dataType,
    rawData: rawData.subarray(start * rowBytes, (start + count) * rowBytes),
  });
  return part;
}

/** Widths of the parts into which a convolution's channels are split, where nothing else reads them. */
function partsOf(graph: Graph, conv: NodeProto, users: readonly NodeProto[]): number[] | null {
  const [split] = users;
  const sizes = graph.initializers.get(split?.input[1] ?? "");
  const isSplit =
    split?.opType === "Split" && split.attribute.some(({ name, i }) => name === "axis" && i === 1);
  const isJoined =
    conv.opType === "Conv" &&
    conv.input.slice(1).every((name) => graph.initializers.has(name)) &&
    conv.attribute.some(({ name, i }) => name === "group" && i === 1);
  return isJoined && isSplit && users.length === 1 && sizes !== undefined ? integersOf(sizes) : null;
}

function usersOf(graph: Graph): Map<string, NodeProto[]> {
  const users = new Map<string, NodeProto[]>();
  for (const node of graph.nodes)
    for (const name of node.input) users.set(name, [...(users.get(name) ?? []), node]);
  return users;
}

/**
 * Takes apart convolutions that were joined because they read the same map: back ends of ONNX run two as fast as one, and
 * where a level needs only some of the joined kernels, these would stand in the file a second time.
 * @param outputs names of values that the graph gives
 */
function separateJoined(graph: Graph, outputs: ReadonlySet<string>): void {
  const users = usersOf(graph);
  const gone = new Set<NodeProto>();
  const nodes = graph.nodes.flatMap((node): NodeProto[] => {
    if (gone.has(node)) return [];
    const joined = node.output[0] as string;
    const readers = users.get(joined) ?? [];
    const widths = outputs.has(joined) ? null : partsOf(graph, node, readers);
    if (widths === null) return [node];
    const split = readers[0] as NodeProto;
    gone.add(split);
    const [x, ...constants] = node.input as [string, ...string[]];
    let start = 0;
    return widths.map((width, i) => {
      const own = constants.map((name) => rowsOf(graph, name, start, width));
      start += width;
      const output = split.output[i] as string;
      return { ...node, name: output, input: [x, ...own], output: [output] };
    });
  });
  graph.nodes.splice(0, graph.nodes.length, ...nodes);
}

/** Constants of the same type, shape and bytes become one; those that nothing reads go. */
function shareEqual(graph: Graph): void {
  const used = new Set(graph.nodes.flatMap(({ input }) => input));
  const first = new Map<string, string>();
  const instead = new Map<string, string>();
  for (const [name, { dataType, dims, rawData }] of [...graph.initializers]) {
    const bytes = createHash("sha256").update(rawData).digest("base64");
    const key = `${dataType}[${dims.join(",")}]${bytes}`;
    const known = first.get(key);
    if (used.has(name) && known === undefined) first.set(key, name);
    else graph.initializers.delete(name);
    if (known !== undefined) instead.set(name, known);
  }
  for (const node of graph.nodes) node.input = node.input.map((name) => instead.get(name) ?? name);
}

/**
 * Lets every weight stand in the graph once.
 * @param outputs names of values that the graph gives
 */
export function storeOnce(graph: Graph, outputs: Iterable<string>): void {
  separateJoined(graph, new Set(outputs));
  shareEqual(graph);
  graph.forget();
}
