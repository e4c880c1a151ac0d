import { check, EngineError } from "../errors.js";
import type { Device, Tensor } from "../tensor.js";
import { kindOf, type PickledGlobal, type PickledObject, quoted } from "./pickle/objects.js";
import { NumpyArray } from "./pickle/python.js";
import { readCheckpoint } from "./pytorch/checkpoint.js";
import type { UnknownPolicy } from "./pytorch/host.js";
import { materialise } from "./pytorch/materialise.js";
import { PickledTensor } from "./pytorch/storages.js";
import { PickledVariable } from "./pytorch/variables.js";
import { fromMemory, type Source, withFile } from "./source.js";

/**
 * A value of a checkpoint. dict: Map; list, tuple and torch.Size: array; set: Set; None: null; bytes: Uint8Array; int:
 * number, or bigint beyond 2^53; torch.dtype and torch.device: text ("float32", "cuda:0"); tensors, storages and NumPy's
 * arrays: Tensor; a class: PickledGlobal; an object of a class that is not built: PickledObject.
 */
export type PyTorchValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Tensor
  | PickledGlobal
  | PickledObject
  | PyTorchValue[]
  | Map<PyTorchValue, PyTorchValue>
  | Set<PyTorchValue>;

export interface ReadPyTorchOptions {
  /** "cpu" unless told, wherever the tensors were when they were saved. */
  readonly device?: Device | undefined;
  /**
   * Classes and functions other than those of tensors, NumPy's arrays and Python's containers, and kinds of tensors that
   * cannot be read: "refuse" the file (unless told), or "ignore" them: an inert PickledObject stands for each. Nothing
   * that a file names is ever executed, either way.
   */
  readonly unknown?: UnknownPolicy | undefined;
}

export interface ReadEntriesOptions extends ReadPyTorchOptions {
  /** Of a file that holds a dict, the entries that are wanted; nothing of the others is read. */
  readonly keys?: readonly string[] | undefined;
}

export interface ReadStateDictOptions extends ReadPyTorchOptions {
  /** The name under which the file holds the state dict. */
  readonly key?: string | undefined;
}

function policyOf({ unknown = "refuse" }: ReadPyTorchOptions): UnknownPolicy {
  check(
    unknown === "refuse" || unknown === "ignore",
    () => `readPyTorch: expected unknown to be "refuse" or "ignore", got ${quoted(String(unknown))}`,
  );
  return unknown;
}

function readFrom(source: Source, options: ReadEntriesOptions): PyTorchValue {
  const checkpoint = readCheckpoint(source, policyOf(options));
  const { root } = checkpoint;
  const { keys, device = "cpu" } = options;
  const wanted =
    keys !== undefined && root instanceof Map
      ? new Map([...root].filter(([key]) => keys.includes(key as string)))
      : root;
  return materialise(wanted, source, checkpoint, device) as PyTorchValue;
}

/**
 * Reads a file of PyTorch's `torch.save`: the zip format of 1.6 and later, and the one before. Tensors that shared memory
 * share it again; strides and `requiresGrad` are as they were saved. The pickle inside is interpreted by a fixed list of
 * names, and no code is run.
 * @throws EngineError PYTORCH_INVALID when the file is malformed, or of a kind that cannot be read; PYTORCH_UNSAFE when it
 * names classes or functions outside the list; FILE_TRUNCATED; FILE. The message names the file and the place.
 */
export function readPyTorch(path: string, options: ReadEntriesOptions = {}): PyTorchValue {
  return withFile(path, (source) => readFrom(source, options));
}

/** Reads a file held in memory, as {@link readPyTorch}. */
export function parsePyTorch(bytes: Uint8Array, options: ReadEntriesOptions = {}): PyTorchValue {
  return readFrom(fromMemory(bytes), options);
}

const usualKeys = ["state_dict", "model", "model_state_dict"];

const isTensor = (value: unknown): boolean =>
  value instanceof PickledTensor ||
  (value instanceof PickledVariable && value.tensor !== undefined) ||
  (value instanceof NumpyArray && value.unsupported === undefined);

function isStateDict(value: unknown): value is Map<unknown, unknown> {
  return value instanceof Map && value.size > 0 && [...value.values()].every(isTensor);
}

function keysOf(root: unknown): string {
  if (!(root instanceof Map)) return `the file holds ${kindOf(root)}`;
  const some = [...root]
    .slice(0, 20)
    .map(([key, value]) => `${typeof key === "string" ? quoted(key) : kindOf(key)}: ${kindOf(value)}`);
  return `the file holds ${some.join("; ") || "an empty dict"}${root.size > some.length ? "; ..." : ""}`;
}

/** The state dict under `key`; else the file's own dict, if of tensors alone; else that under one of the usual keys. */
function findStateDict(file: string, root: unknown, key: string | undefined): Map<unknown, unknown> {
  if (key === undefined && isStateDict(root)) return root;
  const keys = key === undefined ? usualKeys : [key];
  for (const name of keys) {
    const value = root instanceof Map ? root.get(name) : undefined;
    if (value instanceof Map) return value;
  }
  throw new EngineError(
    "PYTORCH_INVALID",
    `${file}: expected a state dict under ${keys.map(quoted).join(", ")}; ${keysOf(root)}`,
  );
}

/**
 * Reads the tensors of a model from a file of `torch.save`, by name; nothing else of the file is read. The state dict is
 * the file's own dict, or stands under `state_dict`, `model` or `model_state_dict`, or where `key` says.
 * @throws EngineError as {@link readPyTorch}; PYTORCH_INVALID, with what the file holds, when it has no state dict.
 */
export function readStateDict(path: string, options: ReadStateDictOptions = {}): Map<string, Tensor> {
  return withFile(path, (source) => {
    const checkpoint = readCheckpoint(source, policyOf(options));
    const found = findStateDict(path, checkpoint.root, options.key);
    for (const [name, value] of found) {
      if (typeof name !== "string" || !isTensor(value)) {
        const message = `state dict: expected names and tensors, got ${kindOf(name)}: ${kindOf(value)}`;
        throw new EngineError("PYTORCH_INVALID", `${path}: ${message}; readPyTorch reads all values`);
      }
    }
    return materialise(found, source, checkpoint, options.device ?? "cpu") as Map<string, Tensor>;
  });
}
