import type { Sizes } from "../symbols.js";
import { isRef, type TracedNode } from "../trace.js";
import { Call, type Emit, type ExportOptions } from "./call.js";
import type { Graph } from "./graph.js";
import { convolutionOps } from "./ops/convolution.js";
import { deformOps } from "./ops/deform.js";
import { elementwiseOps } from "./ops/elementwise.js";
import { resizeOps } from "./ops/resize.js";
import { selectOps } from "./ops/select.js";
import { shapeOps } from "./ops/shape.js";

const emitters: Readonly<Record<string, Emit>> = {
  ...convolutionOps,
  ...deformOps,
  ...elementwiseOps,
  ...resizeOps,
  ...selectOps,
  ...shapeOps,
};

/** Calls on which no wanted output depends are left out. */
function needed(nodes: readonly TracedNode[], outputs: Iterable<number>): ReadonlySet<TracedNode> {
  const wanted = new Set(outputs);
  const kept = new Set<TracedNode>();
  for (const node of [...nodes].reverse()) {
    if (!node.results.some((result) => wanted.has(result))) continue;
    kept.add(node);
    for (const argument of node.arguments.flat(2)) if (isRef(argument)) wanted.add(argument.value);
  }
  return kept;
}

/**
 * Writes recorded calls into a graph in which the traced input has a name already.
 * @throws EngineError BAD_ARGUMENT naming an operator that cannot be written
 */
export function writeCalls(graph: Graph, sizes: Sizes, options: ExportOptions): void {
  const [trace] = sizes.traces as [Sizes["traces"][number]];
  const kept = needed(trace.nodes, trace.outputs.values());
  sizes.learn(trace.input);
  for (const [index, node] of trace.nodes.entries()) {
    if (!kept.has(node)) continue;
    const call = new Call(graph, sizes, options, index);
    const emit = emitters[node.name];
    if (emit === undefined) throw call.refused("export knows no ONNX for this operator");
    const made = emit(call);
    const names = Array.isArray(made) ? made : [made];
    for (const [i, result] of node.results.entries()) {
      graph.bind(result, names[i] as string);
      sizes.learn(result);
    }
  }
}
