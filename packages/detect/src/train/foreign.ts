// Checkpoints of mmdetection 1.x, the paper's official ones among them, as values of ours.
import { existsSync } from "node:fs";
import { EngineError, io, type nn, type Tensor, zeros } from "@sepc/engine";
import { COCO_CLASSES } from "../data/datasets/cocoClasses.js";

/** What a file of mmdetection holds that is of use here; the tensors are the caller's to free. */
export interface ForeignCheckpoint {
  readonly file: string;
  /** By mmdetection's names. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Names of the classes in the order of their channels, where the file tells them. */
  readonly classes: readonly string[] | null;
  readonly epoch: number;
  readonly step: number;
  /** The head's class, "SepcRetinaHead", where the file tells it. */
  readonly head: string | null;
  /** mmdetection's, "1.1.0", where the file tells it. */
  readonly version: string | null;
}

/** mmdetection 1.x writes COCO's names without spaces. */
function classesOf(raw: unknown): string[] | null {
  if (!Array.isArray(raw) || raw.length === 0 || !raw.every((name) => typeof name === "string")) return null;
  const spaced = raw.map((name) => name.replaceAll("_", " "));
  return spaced.every((name, i) => name === COCO_CLASSES[i]) ? spaced : raw;
}

const headPattern = /bbox_head\s*=\s*dict\(\s*type\s*=\s*['"](\w+)['"]/;

type Meta = Omit<ForeignCheckpoint, "file" | "tensors">;

function metaOf(file: string): Meta {
  const found = io.readPyTorch(file, { unknown: "ignore", keys: ["meta"] });
  const raw = found instanceof Map ? found.get("meta") : undefined;
  const meta = raw instanceof Map ? raw : new Map<unknown, unknown>();
  const count = (key: string): number => (typeof meta.get(key) === "number" ? (meta.get(key) as number) : 0);
  const text = (key: string): string => (typeof meta.get(key) === "string" ? (meta.get(key) as string) : "");
  return {
    classes: classesOf(meta.get("CLASSES")),
    epoch: count("epoch"),
    step: count("iter"),
    head: headPattern.exec(text("config"))?.[1] ?? null,
    version: text("mmdet_version") || null,
  };
}

const noMeta: Meta = { classes: null, epoch: 0, step: 0, head: null, version: null };

/**
 * Reads a checkpoint of mmdetection: .pth, or its state dict as .safetensors.
 * @throws EngineError FILE, PYTORCH_INVALID ... naming the file; STATE_MISMATCH when it is of other software.
 */
export function readForeign(file: string): ForeignCheckpoint {
  if (!existsSync(file)) throw new EngineError("FILE", `${file}: there is no such checkpoint`);
  const plain = file.endsWith(".safetensors");
  const read = plain ? io.readSafetensors(file).tensors : io.readStateDict(file, { unknown: "ignore" });
  const tensors = new Map([...read].map(([name, tensor]) => [name.replace(/^module\./, ""), tensor]));
  if (![...tensors.keys()].some((name) => name.startsWith("bbox_head."))) {
    const some = [...tensors.keys()].slice(0, 3).join(", ");
    throw new EngineError(
      "STATE_MISMATCH",
      `${file}: expected a one-stage detector's checkpoint of mmdetection 1.x (backbone., neck., bbox_head.), got ` +
        `${tensors.size} tensors (${some} ...)`,
    );
  }
  return { file, tensors, ...(plain ? noMeta : metaOf(file)) };
}

/** How a checkpoint and a network agree. */
export interface Fit {
  /** Tensors that found their place. */
  readonly matched: number;
  /** Ours that the checkpoint does not have. */
  readonly missing: readonly string[];
  /** Theirs that have no place. */
  readonly leftOver: readonly string[];
  readonly misshaped: readonly string[];
}

/** Biases that theirs do not have because a normalisation follows the convolution; ours are zero there. */
function impliedBiases(network: nn.Module, renamed: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const [name, { shape }] of network.stateDict()) {
    const place = /^(.*)\.convs\.(\d+)\.bias$/.exec(name);
    if (place === null || renamed.has(name)) continue;
    const normalised = `${place[1]}.norms.${place[2]}.`;
    if ([...renamed.keys()].some((other) => other.startsWith(normalised))) found.set(name, zeros(shape));
  }
  return found;
}

/** Copies the tensors of a checkpoint into a network, under the names that `rename` gives them. */
export function loadForeign(
  network: nn.Module,
  tensors: ReadonlyMap<string, Tensor>,
  rename: (name: string) => string | null,
): Fit {
  const theirs = new Map<string, string>();
  const renamed = new Map<string, Tensor>();
  const nameless: string[] = [];
  for (const [name, tensor] of tensors) {
    const ours = rename(name);
    if (ours === null) nameless.push(name);
    else {
      theirs.set(ours, name);
      renamed.set(ours, tensor);
    }
  }
  const implied = impliedBiases(network, renamed);
  const { loaded, missing, unexpected, misshaped } = network.loadPartial(new Map([...renamed, ...implied]));
  return {
    matched: loaded.length - implied.size,
    // PyTorch before 0.4.1 did not count batches.
    missing: missing.filter((name) => !name.endsWith(".num_batches_tracked")),
    leftOver: [...nameless, ...unexpected.map((name) => theirs.get(name) as string)],
    misshaped,
  };
}

/** Numbers of channels: of all classes and anchors, and of all anchors' four coordinates. */
function headRows(tensors: ForeignCheckpoint["tensors"]): readonly [cls: number, box: number] | null {
  const rows = (names: readonly string[]): number | undefined =>
    names
      .map((name) => tensors.get(`bbox_head.${name}.weight`)?.shape[0])
      .find((count) => count !== undefined);
  const points = rows(["reppoints_cls_out"]);
  if (points !== undefined) return [points, 4];
  const heads = ["retina", "fcos", "atss"];
  const [cls, box] = ["cls", "reg"].map((branch) => rows(heads.map((head) => `${head}_${branch}`)));
  return cls === undefined || box === undefined ? null : [cls, box];
}

/** Classes that a checkpoint tells apart; null where its head is of another kind. */
export function classCount({ tensors }: ForeignCheckpoint): number | null {
  const rows = headRows(tensors);
  return rows === null ? null : (4 * rows[0]) / rows[1];
}
