import { createRequire } from "node:module";
import type { ModelSpec } from "@sepc/core";
import { metadataKey } from "@sepc/core/runtime";
import type { Tensor } from "@sepc/engine";
import type { DetectorNetwork } from "../detectors/index.js";
import { foldBatchNorm } from "../ops/foldBatchNorm.js";
import { Graph } from "./onnx/graph.js";
import { type ElementType, encodeModel, type ModelProto, valueInfo } from "./onnx/proto.js";
import { writeCalls } from "./onnx/write.js";
import { Sizes } from "./symbols.js";
import { recordSizes, type Trace } from "./trace.js";
import { featureViews, offsetViews, watched } from "./views.js";

/** ONNX's version: the first with DeformConv. */
const opset = 19;
const irVersion = 9;

export interface ExportModelOptions {
  /** Deformable convolution from operators that every back end has. */
  readonly portable?: boolean | undefined;
  /** Also give the pyramid's maps and the offsets of deformable kernels, for people to look at. */
  readonly views?: boolean | undefined;
}

/** What is written beside the graph; the rest follows from the network. */
export type ExportDescription = Omit<ModelSpec, "format" | "decode" | "output" | "precision" | "views">;

/** Names of the graph's axes, by rank. */
const axisNames: Readonly<Record<string, readonly (string | null)[]>> = {
  scores: ["batch", "candidates", null],
  boxes: ["batch", "candidates", null],
  priors: ["batch", "candidates"],
  factors: ["batch", "candidates"],
};

function outputsOf(network: DetectorNetwork, images: Tensor, views: boolean): ReadonlyMap<string, Tensor> {
  const { result: raw, maps } = watched(network, () => network.forward(images));
  const { scores, boxes, priors, factors } = network.candidates(raw);
  const found = new Map([...(views ? maps : []), ["scores", scores], ["boxes", boxes], ["priors", priors]]);
  if (factors !== null) found.set("factors", factors);
  return found;
}

/** Gives the traced outputs their own names. */
function nameOutputs(graph: Graph, trace: Trace): ModelProto["graph"]["output"] {
  return [...trace.outputs].map(([name, place]) => {
    const { shape, dtype } = trace.values[place] as Trace["values"][number];
    graph.nodes.push({
      input: [graph.nameOf(place)],
      output: [name],
      name,
      opType: "Identity",
      attribute: [],
    });
    const names = axisNames[name] ?? ["batch", null, `${name}_height`, `${name}_width`];
    const dims = shape.map((size, axis) => names[axis] ?? size);
    return valueInfo(name, dtype as ElementType, dims);
  });
}

function version(): string {
  const require = createRequire(import.meta.url);
  return (require("../../package.json") as { version: string }).version;
}

/**
 * A network as the bytes of an ONNX file, for any number and size of pictures. The network's normalisation is folded
 * into its convolutions: afterwards it only predicts.
 * @throws EngineError BAD_ARGUMENT naming what cannot be written
 */
export function exportModel(
  network: DetectorNetwork,
  description: ExportDescription,
  { portable = false, views = false }: ExportModelOptions = {},
): Uint8Array {
  foldBatchNorm(network);
  const { perLevel } = network.decodeSpec.postprocess;
  const graph = new Graph();
  const { outputs, seen } = recordSizes(
    (images) => outputsOf(network, images, views),
    (recorded) => {
      const offsets = views ? offsetViews(recorded[0] as Trace, network) : [];
      const more = offsets.map(({ view, value }) => [view.output, value] as const);
      const traces = recorded.map((one) => ({ ...one, outputs: new Map([...one.outputs, ...more]) }));
      const trace = traces[0] as Trace;
      graph.bind(trace.input, "images");
      writeCalls(graph, new Sizes(traces), { portable, perLevel });
      return {
        outputs: nameOutputs(graph, trace),
        seen: { features: featureViews(trace), offsets: offsets.map(({ view }) => view) },
      };
    },
  );
  const spec: ModelSpec = {
    format: 1,
    ...description,
    decode: network.decodeSpec,
    output: "candidates",
    precision: "float32",
    ...(views ? { views: seen } : {}),
  };
  return encodeModel({
    irVersion,
    producerName: "sepc",
    producerVersion: version(),
    opsetImport: [{ domain: "", version: opset }],
    metadataProps: [{ key: metadataKey, value: JSON.stringify(spec) }],
    graph: {
      name: description.name,
      node: graph.nodes,
      initializer: [...graph.initializers.values()],
      input: [valueInfo("images", "float32", ["batch", 3, "height", "width"])],
      output: outputs,
    },
  });
}
