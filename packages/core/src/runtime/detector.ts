import type { Detection, Postprocess } from "../decode.js";
import type { RgbImage } from "../image/rgb.js";
import type { ModelSpec } from "../spec.js";
import { finishBatch, prepareBatch, preparePicture } from "./batch.js";
import type { Session, TensorData } from "./session.js";

export interface DetectedObject extends Detection {
  /** Name of the class. */
  readonly name: string;
}

/** Milliseconds of the stages of one call. */
export interface StageTimes {
  /** Resizing and normalising. */
  readonly prepare: number;
  readonly network: number;
  /** Decoding of boxes and suppression. */
  readonly decode: number;
}

/** What one call found, how long its stages took, and what the graph gave. */
export interface BatchResult {
  readonly objects: readonly (readonly DetectedObject[])[];
  readonly times: StageTimes;
  readonly outputs: Readonly<Record<string, TensorData>>;
}

/** An exported network in use, on whatever runtime its session has; Node and browser alike. */
export class ModelDetector {
  constructor(
    readonly spec: ModelSpec,
    readonly session: Session,
  ) {}

  get classes(): readonly string[] {
    return this.spec.classes;
  }

  /** Objects in one picture, best first; boxes in its pixels. */
  async detect(picture: RgbImage, options: Partial<Postprocess> = {}): Promise<DetectedObject[]> {
    return (await this.detectAll([picture], options))[0] ?? [];
  }

  /** Objects in several pictures, as one batch. */
  async detectAll(
    pictures: readonly RgbImage[],
    options: Partial<Postprocess> = {},
  ): Promise<DetectedObject[][]> {
    const { objects } = await this.run(pictures, options);
    return objects as DetectedObject[][];
  }

  /** {@link detectAll}, with times and the graph's raw outputs. */
  async run(pictures: readonly RgbImage[], options: Partial<Postprocess> = {}): Promise<BatchResult> {
    if (pictures.length === 0)
      return { objects: [], times: { prepare: 0, network: 0, decode: 0 }, outputs: {} };
    const start = performance.now();
    const batch = prepareBatch(
      this.spec,
      pictures.map((picture) => preparePicture(this.spec, picture)),
    );
    const prepared = performance.now();
    const outputs = await this.session.run(batch.images);
    const ran = performance.now();
    const found = finishBatch(this.spec, batch, outputs, options);
    const objects = found.map((own) =>
      own.map((object) => ({ ...object, name: this.classes[object.label] ?? String(object.label) })),
    );
    const times = { prepare: prepared - start, network: ran - prepared, decode: performance.now() - ran };
    return { objects, times, outputs };
  }

  close(): Promise<void> {
    return this.session.close();
  }
}
