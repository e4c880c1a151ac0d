import { createRequire } from "node:module";
import type { ModelSpec } from "@sepc/core";
import { metadataKey } from "@sepc/core/runtime";
import { EngineError, type Tensor } from "@sepc/engine";
import type { DetectorNetwork } from "../detectors/index.js";
import { foldBatchNorm } from "../ops/foldBatchNorm.js";
import { Graph } from "./onnx/graph.js";
import { toHalf } from "./onnx/half.js";
import { encodeModel, type ValueInfoProto, valueInfo } from "./onnx/proto.js";
import { planQuantisation, quantise, type Range } from "./onnx/quantise.js";
import { addSuppression } from "./onnx/suppress.js";
import { storeOnce } from "./onnx/weights.js";
import { writeCalls } from "./onnx/write.js";
import { Sizes } from "./symbols.js";
import { recordSizes, type Trace } from "./trace.js";
import { featureViews, offsetViews, type Views, watched } from "./views.js";

/** ONNX's version: the first with DeformConv. */
const opset = 19;
const irVersion = 9;
const input = "images";

export interface ExportModelOptions {
  /** Deformable convolution from operators that every back end has. */
  readonly portable?: boolean | undefined;
  /** Also give the pyramid's maps and the offsets of deformable kernels, for people to look at. */
  readonly views?: boolean | undefined;
  /** Make boxes and suppress in the graph, with the model's thresholds. */
  readonly suppress?: boolean | undefined;
  /** What the network computes in; its input and outputs are float32 either way. */
  readonly precision?: ModelSpec["precision"] | undefined;
  /**
   * For int8: runs the float32 model and tells the ranges of the named values, which are among its outputs.
   */
  readonly calibrate?:
    | ((model: Uint8Array, values: readonly string[]) => Promise<Map<string, Range>>)
    | undefined;
}

/** What is written beside the graph; the rest follows from the network. */
export type ExportDescription = Omit<ModelSpec, "format" | "decode" | "output" | "precision" | "views">;

/** Names of the graph's axes, by output. */
const axisNames: Readonly<
  Record<ModelSpec["output"], Readonly<Record<string, readonly (string | number)[]>>>
> = {
  candidates: {
    scores: ["batch", "candidates", 0],
    boxes: ["batch", "candidates", 4],
    priors: ["batch", "candidates"],
    factors: ["batch", "candidates"],
  },
  detections: {
    batch: ["detections"],
    boxes: ["detections", 4],
    scores: ["detections"],
    labels: ["detections"],
  },
};

const wholeNumbers = new Set(["batch", "labels", "priors"]);

function outputsOf(network: DetectorNetwork, images: Tensor, views: boolean): ReadonlyMap<string, Tensor> {
  const { result: raw, maps } = watched(network, () => network.forward(images));
  const { scores, boxes, priors, factors } = network.candidates(raw);
  const found = new Map([...(views ? maps : []), ["scores", scores], ["boxes", boxes], ["priors", priors]]);
  if (factors !== null) found.set("factors", factors);
  return found;
}

/** A network's calls as a graph. */
interface Written {
  readonly graph: Graph;
  /** Names in the graph of what it gives. */
  readonly names: Map<string, string>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly views: Views;
}

function write(network: DetectorNetwork, { portable = false, views = false }: ExportModelOptions): Written {
  const graph = new Graph();
  const { perLevel } = network.decodeSpec.postprocess;
  return recordSizes(
    (images) => outputsOf(network, images, views),
    (recorded) => {
      const offsets = views ? offsetViews(recorded[0] as Trace, network) : [];
      const more = offsets.map(({ view, value }) => [view.output, value] as const);
      const traces = recorded.map((one) => ({ ...one, outputs: new Map([...one.outputs, ...more]) }));
      const trace = traces[0] as Trace;
      graph.bind(trace.input, input);
      writeCalls(graph, new Sizes(traces), { portable, perLevel });
      const outputs = [...trace.outputs];
      const names = new Map(outputs.map(([name, place]) => [name, graph.nameOf(place)]));
      storeOnce(graph, names.values());
      return {
        graph,
        names,
        shapes: new Map(outputs.map(([name, place]) => [name, trace.values[place]?.shape ?? []])),
        views: { features: featureViews(trace), offsets: offsets.map(({ view }) => view) },
      };
    },
  );
}

/** Replaces candidates by detections. */
function suppress({ graph, names }: Written, network: DetectorNetwork): void {
  const own = (name: string): string => names.get(name) as string;
  const found = addSuppression(graph, network.decodeSpec, {
    images: input,
    scores: own("scores"),
    boxes: own("boxes"),
    priors: own("priors"),
    factors: names.get("factors") ?? null,
  });
  for (const name of Object.keys(axisNames.candidates)) names.delete(name);
  for (const [name, value] of Object.entries(found)) names.set(name, value);
}

/** Gives the outputs their own names. */
function nameOutputs({ graph, names, shapes }: Written, output: ModelSpec["output"]): ValueInfoProto[] {
  return [...names].map(([name, value]) => {
    graph.nodes.push({ input: [value], output: [name], name, opType: "Identity", attribute: [] });
    const shape = shapes.get(name) ?? [];
    const axes = axisNames[output][name] ?? ["batch", 0, `${name}_height`, `${name}_width`];
    const dims = axes.map((axis, i) => (axis === 0 ? (shape[i] as number) : axis));
    return valueInfo(name, wholeNumbers.has(name) ? "int64" : "float32", dims);
  });
}

function version(): string {
  const require = createRequire(import.meta.url);
  return (require("../../package.json") as { version: string }).version;
}

function checkOptions({ portable, precision, calibrate }: ExportModelOptions): void {
  if (portable && precision === "float16")
    throw new EngineError(
      "BAD_ARGUMENT",
      "export: portable deformable kernels compute places in float32; expected --portable or float16, got both",
    );
  if (precision === "int8" && calibrate === undefined)
    throw new EngineError(
      "BAD_ARGUMENT",
      "export: int8 needs pictures to measure ranges on; expected --calibrate DATA",
    );
}

function encode(
  { graph }: Written,
  name: string,
  output: readonly ValueInfoProto[],
  metadata: string | null,
): Uint8Array {
  return encodeModel({
    irVersion,
    producerName: "sepc",
    producerVersion: version(),
    opsetImport: [{ domain: "", version: opset }],
    metadataProps: metadata === null ? [] : [{ key: metadataKey, value: metadata }],
    graph: {
      name,
      node: graph.nodes,
      initializer: [...graph.initializers.values()],
      input: [valueInfo(input, "float32", ["batch", 3, "height", "width"])],
      output,
    },
  });
}

/** Puts a written network into fewer bits. */
async function reduce(written: Written, options: ExportModelOptions): Promise<void> {
  const { graph, names } = written;
  if (options.precision === "float16") {
    const single = toHalf(graph, input);
    for (const [name, value] of names) if (!wholeNumbers.has(name)) names.set(name, single(value));
  }
  if (options.precision === "int8" && options.calibrate !== undefined) {
    const plan = planQuantisation(graph, input);
    const watched = plan.tensors.map((name) =>
      valueInfo(
        name,
        "float32",
        ["a", "b", "c", "d"].map((x) => `${name}_${x}`),
      ),
    );
    const ranges = await options.calibrate(encode(written, "calibration", watched, null), plan.tensors);
    quantise(graph, plan, ranges);
  }
}

/**
 * A network as the bytes of an ONNX file, for any number and size of pictures. The network's normalisation is folded
 * into its convolutions: afterwards it only predicts.
 * @throws EngineError BAD_ARGUMENT naming what cannot be written
 */
export async function exportModel(
  network: DetectorNetwork,
  description: ExportDescription,
  options: ExportModelOptions = {},
): Promise<Uint8Array> {
  checkOptions(options);
  foldBatchNorm(network);
  const written = write(network, options);
  await reduce(written, options);
  if (options.suppress) suppress(written, network);
  const output = options.suppress ? "detections" : "candidates";
  const outputs = nameOutputs(written, output);
  const spec: ModelSpec = {
    format: 1,
    ...description,
    decode: network.decodeSpec,
    output,
    precision: options.precision ?? "float32",
    ...(options.views ? { views: written.views } : {}),
  };
  return encode(written, description.name, outputs, JSON.stringify(spec));
}
