import type { DecodeSpec } from "./decode.js";
import type { Normalisation } from "./image/collate.js";

/** What a network says of how one of its maps may be looked at. */
export interface MapView {
  /** Name of the graph's output. */
  readonly output: string;
  /** As "p3". */
  readonly level: string;
  /** Pixels of the input for one cell. */
  readonly stride: number;
}

/** Offsets of a deformable kernel: output [N, 2·k·k, H, W] in cells of the map it reads, (y, x) for each tap. */
export interface OffsetView extends MapView {
  /** As "class", "box" or "pyramid 1". */
  readonly kernel: string;
  readonly kernelSize: number;
  /** Pixels of the input for one cell of the map that the kernel reads. */
  readonly readStride: number;
}

/**
 * All that is needed to use an exported network: plain data, in the file's own metadata. The graph's input is `images`
 * [N, 3, H, W], normalised.
 */
export interface ModelSpec {
  readonly format: 1;
  /** Of the run or preset. */
  readonly name: string;
  /** As "retinanet". */
  readonly detector: string;
  readonly classes: readonly string[];
  readonly input: Normalisation & {
    /** Long and short side in pixels: a picture is made as large as both allow. */
    readonly scale: readonly [number, number];
  };
  readonly decode: DecodeSpec;
  /**
   * What the graph gives. "candidates": `scores` [N, K, C], `boxes` [N, K, 4], `priors` [N, K] and, where the detector
   * has them, `factors` [N, K]. "detections": after suppression, `batch` [M] (which picture), `boxes` [M, 4] in pixels of the input,
   * `scores` [M] and `labels` [M], best first.
   */
  readonly output: "candidates" | "detections";
  readonly precision: "float32" | "float16" | "int8";
  readonly views?:
    | { readonly features: readonly MapView[]; readonly offsets: readonly OffsetView[] }
    | undefined;
}

/** A model file that is not what it should be. */
export class ModelError extends Error {
  override name = "ModelError";
}

type Shape = "string" | "number" | "object" | readonly Shape[];

const has = (value: unknown, shape: Shape): boolean =>
  typeof shape === "string"
    ? typeof value === shape && value !== null
    : Array.isArray(value) && value.length > 0 && value.every((one) => has(one, shape[0] as Shape));

/** Fields without which nothing can be done; the rest is what export wrote. */
const needed: Readonly<Record<string, Shape>> = {
  name: "string",
  detector: "string",
  classes: ["string"],
  input: "object",
  "input.scale": ["number"],
  "input.mean": ["number"],
  "input.std": ["number"],
  "input.sizeDivisor": "number",
  "input.channels": "string",
  decode: "object",
  "decode.priors": "object",
  "decode.priors.strides": ["number"],
  "decode.coder": "object",
  "decode.coder.kind": "string",
  "decode.postprocess": "object",
  output: "string",
};

/**
 * Reads a description as it stands in a file's metadata.
 * @throws ModelError naming the file and what is wrong
 */
export function parseModelSpec(text: string, file = "model"): ModelSpec {
  let spec: unknown;
  try {
    spec = JSON.parse(text);
  } catch {
    throw new ModelError(`${file}: its description is not JSON; export it again with sepc export`);
  }
  const at = (path: string): unknown =>
    path
      .split(".")
      .reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], spec);
  if (at("format") !== 1)
    throw new ModelError(
      `${file}: expected a description of format 1, got ${String(at("format"))}; this version of sepc is too old for it, or it is no file of sepc export`,
    );
  for (const [path, shape] of Object.entries(needed))
    if (!has(at(path), shape))
      throw new ModelError(
        `${file}: its description has no well-formed "${path}"; export it again with sepc export`,
      );
  return spec as ModelSpec;
}
