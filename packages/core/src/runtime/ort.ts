import { ModelError } from "../spec.js";
import type { Session, TensorData } from "./session.js";

/** What a session needs of onnxruntime's packages (-web, -node); the module itself comes from the caller. */
export interface OrtModule {
  readonly Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: {
    create(model: Uint8Array, options?: object): Promise<OrtInferenceSession>;
  };
}

export interface OrtTensor {
  readonly type: string;
  readonly data: unknown;
  readonly dims: readonly number[];
}

export interface OrtInferenceSession {
  readonly outputNames: readonly string[];
  run(
    feeds: Readonly<Record<string, OrtTensor>>,
    fetches: readonly string[],
  ): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

export interface OpenSessionOptions {
  /** Named in errors. */
  readonly file?: string | undefined;
  /** Given to onnxruntime as they are: `executionProviders`, `graphOptimizationLevel` ... */
  readonly session?: object | undefined;
}

/** A network in onnxruntime. */
export class OrtSession implements Session {
  constructor(
    readonly ort: OrtModule,
    readonly session: OrtInferenceSession,
  ) {}

  /** Of the graph. */
  get outputNames(): readonly string[] {
    return this.session.outputNames;
  }

  /** @param outputs those wanted; all unless told */
  async run(
    { data, dims }: TensorData,
    outputs: readonly string[] = this.outputNames,
  ): Promise<Readonly<Record<string, TensorData>>> {
    const images = new this.ort.Tensor("float32", data as Float32Array, dims);
    return (await this.session.run({ images }, outputs)) as Readonly<Record<string, TensorData>>;
  }

  close(): Promise<void> {
    return this.session.release();
  }
}

/**
 * Opens a file of `sepc export` in the caller's onnxruntime, as `openSession(ort, bytes)` after
 * `import * as ort from` its package.
 * @throws ModelError with what onnxruntime says, when it cannot load the graph
 */
export async function openSession(
  ort: OrtModule,
  model: Uint8Array,
  { file = "model", session = {} }: OpenSessionOptions = {},
): Promise<OrtSession> {
  try {
    return new OrtSession(ort, await ort.InferenceSession.create(model, session));
  } catch (cause) {
    throw new ModelError(`${file}: onnxruntime cannot load it: ${(cause as Error).message}`, { cause });
  }
}
