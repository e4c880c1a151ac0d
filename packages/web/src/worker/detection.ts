import { fromRgba, type ModelSpec, type OffsetView, type RgbImage } from "@sepc/core";
import {
  type BatchResult,
  cellAt,
  frameOf,
  heatMap,
  type InputPoint,
  ModelDetector,
  mapExtent,
  type OrtSession,
  readModelSpec,
  type Session,
  samplingPoints,
  type TensorData,
} from "@sepc/core/runtime";
import type {
  Calls,
  CellTaps,
  DetectedPicture,
  InputGeometry,
  LoadedModel,
  PlacedHeatMap,
} from "../protocol.js";
import { startEngine } from "./engine.js";

/** A session that hands out the maps for people only when they are wanted: they are large. */
class Choosing implements Session {
  views = false;
  readonly #without: readonly string[];

  constructor(
    readonly session: OrtSession,
    { views }: ModelSpec,
  ) {
    const shown = new Set(
      [...(views?.features ?? []), ...(views?.offsets ?? [])].map(({ output }) => output),
    );
    this.#without = session.outputNames.filter((name) => !shown.has(name));
  }

  run(images: TensorData): Promise<Readonly<Record<string, TensorData>>> {
    return this.session.run(images, this.views ? this.session.outputNames : this.#without);
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

/** WebAssembly also throws what is no Error. */
const wordsOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

function pixelsOf(picture: ImageBitmap): RgbImage {
  const { width, height } = picture;
  const pen = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (pen === null) throw new Error("this browser cannot read pictures in a worker");
  pen.drawImage(picture, 0, 0);
  return fromRgba(pen.getImageData(0, 0, width, height));
}

/** One model in use, and the maps of the picture that it last saw. */
export class Detection {
  #detector: ModelDetector | null = null;
  #choosing: Choosing | null = null;
  #last: { readonly outputs: BatchResult["outputs"]; readonly input: InputGeometry } | null = null;

  async load({ model, name, engine }: Calls["load"]["ask"]): Promise<LoadedModel> {
    const bytes = new Uint8Array(await model.arrayBuffer());
    const spec = readModelSpec(bytes, name);
    const { session, report } = await startEngine(engine, bytes, name);
    await this.#detector?.close();
    this.#choosing = new Choosing(session, spec);
    this.#detector = new ModelDetector(spec, this.#choosing);
    this.#last = null;
    return { spec, bytes: bytes.length, engine: report };
  }

  #ready(): ModelDetector {
    if (this.#detector === null) throw new Error("no model is loaded yet: choose an .onnx file first");
    return this.#detector;
  }

  async detect({ picture, views }: Calls["detect"]["ask"]): Promise<DetectedPicture> {
    const detector = this.#ready();
    const from = performance.now();
    const pixels = pixelsOf(picture);
    const read = performance.now() - from;
    (this.#choosing as Choosing).views = views;
    const { objects, times, outputs } = await detector.run([pixels]).catch((cause: unknown) => {
      throw new Error(
        `the network failed on this picture: ${wordsOf(cause)}. If memory ran out, choose another back end or a model with a smaller input`,
        { cause },
      );
    });
    const input = inputOf(detector.spec, picture);
    this.#last = views ? { outputs, input } : null;
    return { objects: objects[0] ?? [], times: { ...times, pixels: read }, picture, input, views };
  }

  #map(output: string): { readonly map: TensorData; readonly input: InputGeometry } {
    const map = this.#last?.outputs[output];
    if (this.#last === null || map === undefined)
      throw new Error(`there is no map "${output}" of this picture: detect on it again`);
    return { map, input: this.#last.input };
  }

  heat({ output, channel }: Calls["heat"]["ask"]): PlacedHeatMap {
    const { map, input } = this.#map(output);
    const view = this.#ready().spec.views?.features.find((one) => one.output === output);
    if (view === undefined) throw new Error(`the model names no map "${output}"`);
    const heat = heatMap(map, channel ?? undefined);
    const extent = mapExtent(view, heat, [input.height, input.width]);
    return { ...heat, extent, channels: map.dims[1] as number };
  }

  taps({ outputs, point }: Calls["taps"]["ask"]): CellTaps[] {
    const known = this.#ready().spec.views?.offsets ?? [];
    return known
      .filter(({ output }) => outputs.includes(output))
      .map((view) => {
        const { map, input } = this.#map(view.output);
        return cellTaps(view, map, point, input);
      });
  }
}

function cellTaps(view: OffsetView, offsets: TensorData, point: InputPoint, input: InputGeometry): CellTaps {
  const size = [input.height, input.width] as const;
  const [rows, columns] = offsets.dims.slice(2) as [number, number];
  const { row, column } = cellAt(view, offsets, point, size);
  const { x, y } = mapExtent(view, { width: columns, height: rows }, size);
  const { stride, output } = view;
  const cell = { x: x + column * stride, y: y + row * stride, width: stride, height: stride };
  const taps = samplingPoints(view, offsets, { row, column }, size);
  return { output, row, column, rows, columns, cell, taps };
}

function inputOf(spec: ModelSpec, picture: ImageBitmap): InputGeometry {
  const { sizeDivisor } = spec.input;
  const up = (side: number): number => Math.ceil(side / sizeDivisor) * sizeDivisor;
  const { inputWidth, inputHeight, scaleX, scaleY } = frameOf(spec, picture);
  return { width: up(inputWidth), height: up(inputHeight), scaleX, scaleY };
}
