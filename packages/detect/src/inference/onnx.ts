import { readFile } from "node:fs/promises";
import type { ModelSpec, Postprocess, RgbImage } from "@sepc/core";
import { ModelDetector, type OrtModule, openSession, readModelSpec } from "@sepc/core/runtime";
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

/**
 * A file of `sepc export` on onnxruntime; nothing of libtorch is touched.
 * @throws EngineError FILE, LIBRARY; ModelError when it is no such file
 */
export async function openModel(path: string, { device, threads }: LoadOptions): Promise<ModelDetector> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "there is no such file" : `cannot be read: ${message}`;
    throw new EngineError("FILE", `${path}: ${reason}`, { cause });
  }
  const spec = readModelSpec(bytes, path);
  const ort = await onnxRuntime();
  const session = {
    executionProviders: device?.startsWith("cuda") ? ["cuda", "cpu"] : ["cpu"],
    intraOpNumThreads: threads ?? 0,
    logSeverityLevel: 3,
  };
  return new ModelDetector(
    spec,
    await openSession(ort as unknown as OrtModule, bytes, { file: path, session }),
  );
}

/** {@link openModel} as a {@link Detector}. */
export async function loadOnnx(path: string, options: LoadOptions): Promise<Detector> {
  return new OnnxDetector(await openModel(path, options));
}
