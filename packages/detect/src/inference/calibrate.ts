import type { ModelSpec } from "@sepc/core";
import { prepareBatch, preparePicture } from "@sepc/core/runtime";
import { decodeImage } from "../data/decode.js";
import { onnxRuntime } from "./onnx.js";

/** Values of a tensor that are looked at in one picture. */
const samples = 20_000;
/** Share of values beyond the range at either end: single large ones would cost all others their precision. */
const beyond = 1e-4;

/** Range of most of the values. */
function rangeOf(data: Float32Array): [number, number] {
  const step = Math.max(1, Math.floor(data.length / samples));
  const some = new Float32Array(Math.ceil(data.length / step));
  for (let i = 0; i < some.length; i++) some[i] = data[i * step] as number;
  some.sort();
  const cut = Math.floor(some.length * beyond);
  return [some[cut] as number, some[some.length - 1 - cut] as number];
}

/**
 * Runs a model on pictures, one by one, and says between which values its outputs lie.
 * @param onPicture called after each
 */
export async function calibrate(
  model: Uint8Array,
  values: readonly string[],
  {
    input,
    files,
    onPicture,
  }: { input: ModelSpec["input"]; files: readonly string[]; onPicture?: () => void },
): Promise<Map<string, [number, number]>> {
  const ort = await onnxRuntime();
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  const ranges = new Map<string, [number, number]>();
  for (const file of files) {
    const { images } = prepareBatch({ input }, [preparePicture({ input }, await decodeImage(file))]);
    const outputs = await session.run({
      images: new ort.Tensor("float32", images.data as Float32Array, images.dims),
    });
    for (const name of values) {
      const [least, largest] = rangeOf(outputs[name]?.data as Float32Array);
      const [low, high] = ranges.get(name) ?? [0, 0];
      ranges.set(name, [Math.min(low, least), Math.max(high, largest)]);
    }
    onPicture?.();
  }
  await session.release();
  return ranges;
}
