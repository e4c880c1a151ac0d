import type { Postprocess, RgbImage } from "@sepc/core";
import { prepareBatch, preparePicture } from "@sepc/core/runtime";
import { type Device, setNumThreads } from "@sepc/engine";
import { testTransforms } from "../train/data.js";
import { deviceOf } from "../train/device.js";
import { loadRun, type TrainedRun } from "../train/loadRun.js";
import { predict } from "../train/predict.js";
import { type DetectedObject, Detector, type LoadOptions } from "./detector.js";

class TorchDetector extends Detector {
  constructor(
    readonly run: TrainedRun,
    readonly device: Device,
  ) {
    super();
  }

  get classes(): readonly string[] {
    return this.run.classes;
  }

  protected async find(
    pictures: readonly RgbImage[],
    postprocess: Partial<Postprocess>,
  ): Promise<DetectedObject[][]> {
    const { scales, ...rest } = testTransforms(this.run.config);
    const spec = { input: { ...rest, scale: scales[0] as readonly [number, number] } };
    const { images, frames } = prepareBatch(
      spec,
      pictures.map((picture) => preparePicture(spec, picture)),
    );
    const shape = images.dims as [number, number, number, number];
    const { device } = this;
    const pixels = images.data as Float32Array;
    const found = predict(this.run.detector, pixels, shape, frames, { device, postprocess });
    return found.map((objects) =>
      objects.map((object) => ({ ...object, name: this.classes[object.label] ?? String(object.label) })),
    );
  }

  close(): void {
    this.run.detector.free();
  }
}

/** A run of `sepc train` or a checkpoint, on libtorch. */
export async function loadTorch(path: string, { device, threads }: LoadOptions): Promise<Detector> {
  const place = deviceOf(device);
  if (threads !== undefined) setNumThreads(threads);
  return new TorchDetector(loadRun(path, place), place);
}
