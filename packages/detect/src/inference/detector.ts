import type { Postprocess, RgbImage } from "@sepc/core";
import type { DetectedObject } from "@sepc/core/runtime";
import type { Device } from "@sepc/engine";
import { decodeImage } from "../data/decode.js";

export type { DetectedObject } from "@sepc/core/runtime";

export interface LoadOptions {
  /** "cpu", "cuda" ...; CUDA where it is there unless told. */
  readonly device?: Device | undefined;
  /** Threads of one network; the machine's cores unless told. */
  readonly threads?: number | undefined;
}

/** A file's path, its bytes, or 8 bit RGB pixels. */
export type ImageSource = string | Uint8Array | RgbImage;

/** A trained detector in use. */
export abstract class Detector {
  abstract readonly classes: readonly string[];

  /**
   * Loads an exported model (`.onnx`; needs onnxruntime-node and no libtorch), a run of `sepc train` or one of its
   * checkpoints.
   * @throws EngineError or ModelError naming the file and what is wrong with it
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Detector> {
    if (/\.onnx$/i.test(path)) return (await import("./onnx.js")).loadOnnx(path, options);
    return (await import("./torch.js")).loadTorch(path, options);
  }

  /** Objects in pictures that are decoded, as one batch. */
  protected abstract find(
    pictures: readonly RgbImage[],
    options: Partial<Postprocess>,
  ): Promise<DetectedObject[][]>;

  /** Objects in one picture, best first; boxes in its pixels. */
  async detect(image: ImageSource, options: Partial<Postprocess> = {}): Promise<DetectedObject[]> {
    return (await this.detectAll([image], options))[0] ?? [];
  }

  /** Objects in several pictures, as one batch. */
  async detectAll(
    images: readonly ImageSource[],
    options: Partial<Postprocess> = {},
  ): Promise<DetectedObject[][]> {
    if (images.length === 0) return [];
    const pictures = await Promise.all(
      images.map((image) =>
        typeof image === "string" || image instanceof Uint8Array
          ? decodeImage(image)
          : Promise.resolve(image),
      ),
    );
    return this.find(pictures, options);
  }

  /** Frees the network. */
  abstract close(): void;

  [Symbol.dispose](): void {
    this.close();
  }
}
