import { readFile } from "node:fs/promises";
import { ModelError, type ModelSpec, type Postprocess, type RgbImage } from "@sepc/core";
import { ModelDetector, readModelSpec, type Session, type TensorData } from "@sepc/core/runtime";
import type * as Ort from "onnxruntime-node";
import { EngineError } from "../data/errors.js";
import { type DetectedObject, Detector, type LoadOptions } from "./detector.js";

/** The optional package onnxruntime-node. */
export async function onnxRuntime(): Promise<typeof Ort> {
  try {
    const module = (await import("onnxruntime-node")) as unknown as { default?: typeof Ort } & typeof Ort;
    return module.default ?? module;
  } catch (cause) {
    throw new EngineError(
      "LIBRARY",
      "exported models need the package onnxruntime-node: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node " +
        `(the setting keeps it from fetching CUDA files); it said: ${(cause as Error).message.split("\n")[0]}`,
      { cause },
    );
  }
}

class OrtSession implements Session {
  constructor(
    readonly ort: typeof Ort,
    readonly session: Ort.InferenceSession,
  ) {}

  async run({ type, data, dims }: TensorData): Promise<Record<string, TensorData>> {
    const images = new this.ort.Tensor(type as "float32", data as Float32Array, dims);
    const outputs = await this.session.run({ images });
    return outputs as unknown as Record<string, TensorData>;
  }

  close(): Promise<void> {
    return this.session.release();
  }
}

class OnnxDetector extends Detector {
  constructor(readonly model: ModelDetector) {
    super();
  }

  get spec(): ModelSpec {
    return this.model.spec;
  }

  get classes(): readonly string[] {
    return this.model.classes;
  }

  protected find(pictures: readonly RgbImage[], options: Partial<Postprocess>): Promise<DetectedObject[][]> {
    return this.model.detectAll(pictures, options);
  }

  close(): void {
    void this.model.close();
  }
}

async function openSession(
  ort: typeof Ort,
  bytes: Uint8Array,
  path: string,
  { device, threads }: LoadOptions,
): Promise<Ort.InferenceSession> {
  const providers = device?.startsWith("cuda") ? ["cuda", "cpu"] : ["cpu"];
  try {
    return await ort.InferenceSession.create(bytes, {
      executionProviders: providers,
      intraOpNumThreads: threads ?? 0,
      logSeverityLevel: 3,
    });
  } catch (cause) {
    throw new ModelError(`${path}: onnxruntime cannot load it: ${(cause as Error).message}`, { cause });
  }
}

/**
 * A file of `sepc export` on onnxruntime; nothing of libtorch is touched.
 * @throws EngineError FILE, LIBRARY; ModelError when it is no such file
 */
export async function openModel(path: string, options: LoadOptions): Promise<ModelDetector> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new EngineError("FILE", `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  const spec = readModelSpec(bytes, path);
  const ort = await onnxRuntime();
  const session = await openSession(ort, bytes, path, options);
  return new ModelDetector(spec, new OrtSession(ort, session));
}

/** {@link openModel} as a {@link Detector}. */
export async function loadOnnx(path: string, options: LoadOptions): Promise<Detector> {
  return new OnnxDetector(await openModel(path, options));
}
