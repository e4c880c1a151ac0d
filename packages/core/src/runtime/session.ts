/** Numbers with their shape, as onnxruntime's packages have them. */
export interface TensorData {
  readonly type: "float32" | "int64" | "int32";
  readonly data: Float32Array | BigInt64Array | Int32Array;
  readonly dims: readonly number[];
}

/** A network that some runtime has loaded. */
export interface Session {
  /** `images` [N, 3, H, W], float32 -> the graph's outputs by name. */
  run(images: TensorData): Promise<Readonly<Record<string, TensorData>>>;
  close(): Promise<void>;
}
