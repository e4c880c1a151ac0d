// The thread of a model: { id, request } in, { id, made } or { id, error } out.
import { parentPort, workerData } from "node:worker_threads";
import type { ModelSpec } from "@sepc/core";
import { Detector } from "../inference/detector.js";
import type { ModelAnswer, ModelDescription, ModelRequest, ModelSource } from "./model.js";
import { type Answer, sent } from "./thread.js";

/** What some detectors say of themselves beyond their interface. */
interface SelfDescribing {
  readonly spec?: ModelSpec;
  readonly run?: {
    readonly config: {
      readonly model: { readonly detector: string };
      readonly input: Omit<ModelSpec["input"], "scale"> & {
        readonly scales: readonly (readonly [number, number])[];
        readonly testScale?: readonly [number, number] | undefined;
      };
    };
  };
}

const { path, device, threads } = workerData as ModelSource;

function describe(detector: Detector): ModelDescription {
  const { spec, run } = detector as SelfDescribing;
  const input = spec?.input ?? run?.config.input;
  const scale = spec?.input.scale ?? run?.config.input.testScale ?? run?.config.input.scales[0];
  const known =
    input === undefined || scale === undefined
      ? null
      : {
          scale,
          sizeDivisor: input.sizeDivisor,
          mean: input.mean,
          std: input.std,
          channels: input.channels,
        };
  const [stem = "model"] = path
    .split(/[\\/]/)
    .filter((part) => part !== "")
    .slice(-1);
  return {
    name: spec?.name ?? stem,
    detector: spec?.detector ?? run?.config.model.detector ?? null,
    classes: detector.classes,
    input: known,
    precision: spec?.precision ?? "float32",
  };
}

const loading = Detector.load(path, { device, threads });
// A model that does not load is told to whoever asks.
loading.catch(() => {});

async function answer(request: ModelRequest): Promise<ModelAnswer> {
  const detector = await loading;
  if ("describe" in request) return describe(detector);
  return detector.detectAll(request.pictures, request.options);
}

parentPort?.on("message", async ({ id, request }: { id: number; request: ModelRequest }) => {
  let reply: Answer<ModelAnswer>;
  try {
    reply = { id, made: await answer(request) };
  } catch (error) {
    reply = { id, error: sent(error) };
  }
  parentPort?.postMessage(reply);
});
