import type { Detection, Postprocess } from "@sepc/core";
import { cudaDeviceCount, type Device } from "@sepc/engine";
import { decodeImage, type RgbImage } from "../data/decode.js";
import { collate } from "../data/transforms/pipeline.js";
import { keepRatio, resizeBilinear } from "../data/transforms/resize.js";
import type { DetectorNetwork } from "../detectors/index.js";
import type { RunConfig } from "../train/config.js";
import { testTransforms } from "../train/data.js";
import { loadRun } from "../train/loadRun.js";
import { predict } from "../train/predict.js";

export interface DetectedObject extends Detection {
  /** Name of the class. */
  readonly name: string;
}

export interface LoadOptions {
  /** "cpu", "cuda" ...; CUDA where it is there unless told. */
  readonly device?: Device | undefined;
}

/** A file's path, its bytes, or 8 bit RGB pixels. */
export type ImageSource = string | Uint8Array | RgbImage;

/** A trained detector in use. */
export class Detector {
  readonly classes: readonly string[];
  readonly #network: DetectorNetwork;
  readonly #config: RunConfig;
  readonly #device: Device;

  private constructor(
    network: DetectorNetwork,
    config: RunConfig,
    classes: readonly string[],
    device: Device,
  ) {
    this.#network = network;
    this.#config = config;
    this.classes = classes;
    this.#device = device;
  }

  /**
   * Loads a run of `sepc train` or one of its checkpoints.
   * @throws EngineError naming the file and what is wrong with it
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Detector> {
    const device = options.device ?? (cudaDeviceCount() > 0 ? "cuda" : "cpu");
    const { detector, config, classes } = loadRun(path, device);
    return new Detector(detector, config, classes, device);
  }

  /** Objects in one picture, best first; boxes in its pixels. */
  async detect(image: ImageSource, options: Partial<Postprocess> = {}): Promise<DetectedObject[]> {
    return (await this.detectAll([image], options))[0] ?? [];
  }

  /** Objects in several pictures, as one batch. */
  async detectAll(
    images: readonly ImageSource[],
    options: Partial<Postprocess> = {},
  ): Promise<DetectedObject[][]> {
    const transforms = testTransforms(this.#config);
    const pictures = await Promise.all(
      images.map((image) =>
        typeof image === "string" || image instanceof Uint8Array
          ? decodeImage(image)
          : Promise.resolve(image),
      ),
    );
    const resized = pictures.map((picture) => {
      const [width, height] = keepRatio(
        picture.width,
        picture.height,
        transforms.scales[0] as [number, number],
      );
      return resizeBilinear(picture, width, height);
    });
    const { pixels, shape } = collate(resized, transforms);
    const frames = resized.map(({ width, height }, i) => ({
      inputWidth: width,
      inputHeight: height,
      scaleX: width / (pictures[i] as RgbImage).width,
      scaleY: height / (pictures[i] as RgbImage).height,
    }));
    const found = predict(this.#network, pixels, shape, frames, {
      device: this.#device,
      postprocess: options,
    });
    return found.map((objects) =>
      objects.map((object) => ({ ...object, name: this.classes[object.label] ?? String(object.label) })),
    );
  }

  /** Frees the network. */
  close(): void {
    this.#network.free();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
