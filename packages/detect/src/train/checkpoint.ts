import { EngineError, io, type optim, type Tensor } from "@sepc/engine";

/** Where a run stands, beside its tensors. */
export interface Progress {
  /** Epoch that is running, from 0, and steps of it that are done. */
  readonly epoch: number;
  readonly stepInEpoch: number;
  readonly step: number;
  /** Best box AP so far and the epoch it came from. */
  readonly best: { readonly ap: number; readonly epoch: number } | null;
}

export interface Checkpoint {
  /** Parameters and buffers. */
  readonly model: ReadonlyMap<string, Tensor>;
  /** Their running mean, where one is kept. */
  readonly ema: ReadonlyMap<string, Tensor> | null;
  readonly optimizer: optim.OptimizerState<unknown> | null;
  readonly progress: Progress;
  /** The run's configuration and class names, so that the file alone makes a detector. */
  readonly config: unknown;
  readonly classes: readonly string[];
}

const format = "sepc-checkpoint-1";

/** Writes a checkpoint as one safetensors file; it appears whole or not at all. */
export function saveCheckpoint(path: string, checkpoint: Checkpoint): void {
  const tensors = new Map<string, Tensor>();
  const put = (prefix: string, part: ReadonlyMap<string, Tensor> | undefined | null): void => {
    for (const [name, tensor] of part ?? []) tensors.set(`${prefix}/${name}`, tensor);
  };
  put("model", checkpoint.model);
  put("ema", checkpoint.ema);
  put("optimizer", checkpoint.optimizer?.tensors);
  const metadata = new Map([
    ["format", format],
    ["progress", JSON.stringify(checkpoint.progress)],
    ["config", JSON.stringify(checkpoint.config)],
    ["classes", JSON.stringify(checkpoint.classes)],
    ["optimizer", JSON.stringify(checkpoint.optimizer?.groups ?? null)],
  ]);
  io.writeSafetensors(path, tensors, metadata);
}

/**
 * Reads a checkpoint; the tensors are the caller's to free.
 * @throws EngineError FILE, FILE_TRUNCATED, SAFETENSORS_INVALID; BAD_ARGUMENT when it is another kind of file.
 */
export function loadCheckpoint(path: string): Checkpoint {
  const { tensors, metadata } = io.readSafetensors(path);
  if (metadata.get("format") !== format) {
    throw new EngineError(
      "BAD_ARGUMENT",
      `${path}: expected a checkpoint of sepc train, got other safetensors (weights start a run by --weights)`,
    );
  }
  const part = (prefix: string): Map<string, Tensor> =>
    new Map(
      [...tensors]
        .filter(([name]) => name.startsWith(`${prefix}/`))
        .map(([name, tensor]) => [name.slice(prefix.length + 1), tensor]),
    );
  const json = (key: string): unknown => JSON.parse(metadata.get(key) ?? "null");
  const ema = part("ema");
  const groups = json("optimizer") as readonly unknown[] | null;
  return {
    model: part("model"),
    ema: ema.size > 0 ? ema : null,
    optimizer: groups === null ? null : { groups, tensors: part("optimizer") },
    progress: json("progress") as Progress,
    config: json("config"),
    classes: json("classes") as string[],
  };
}
