import type { ModelSpec } from "@sepc/core";
import type { DetectedObject, HeatMap, InputPoint, StageTimes, Tap } from "@sepc/core/runtime";

export type Backend = "webgpu" | "wasm";

export interface EngineChoice {
  /** auto: WebGPU where there is an adapter in hardware, else wasm. */
  readonly backend: Backend | "auto";
  /** Of wasm; 0: as many as there are cores. */
  readonly threads: number;
}

/** Operators of the graph that run in one place. */
export interface Placement {
  /** As "WebGPU" or "wasm". */
  readonly place: string;
  readonly nodes: number;
  /** Kinds of operators with their numbers; empty when the runtime names none. */
  readonly operators: Readonly<Record<string, number>>;
}

export interface EngineReport {
  readonly backend: Backend;
  readonly threads: number;
  /** Why this back end and this number of threads, in words. */
  readonly reason: string;
  /** The graphics adapter, where there is one. */
  readonly adapter: string | null;
  readonly placement: readonly Placement[];
  /** Milliseconds to start the runtime and load the model. */
  readonly loading: number;
}

export interface LoadedModel {
  readonly spec: ModelSpec;
  readonly bytes: number;
  readonly engine: EngineReport;
}

/** Milliseconds. */
export interface Times extends StageTimes {
  /** Getting the picture's pixels out of the browser. */
  readonly pixels: number;
}

export interface DetectedPicture {
  readonly objects: readonly DetectedObject[];
  readonly times: Times;
  /** The picture that was given, handed back. */
  readonly picture: ImageBitmap;
  readonly input: InputGeometry;
  /** Whether the maps can be looked at. */
  readonly views: boolean;
}

/** How the picture lies in the network's input. */
export interface InputGeometry {
  readonly height: number;
  readonly width: number;
  /** Pixels of the input for one of the picture. */
  readonly scaleX: number;
  readonly scaleY: number;
}

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A level's map with its place in pixels of the network's input. */
export interface PlacedHeatMap extends HeatMap {
  readonly channels: number;
  readonly extent: Rectangle;
}

/** The taps of one deformable kernel for one cell. */
export interface CellTaps {
  /** Name of the offsets' output. */
  readonly output: string;
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
  /** The cell in pixels of the network's input. */
  readonly cell: Rectangle;
  readonly taps: readonly Tap[];
}

/** What the page may ask of the worker, and the answers. */
export interface Calls {
  load: {
    readonly ask: { readonly model: Blob; readonly name: string; readonly engine: EngineChoice };
    readonly answer: LoadedModel;
  };
  detect: {
    readonly ask: { readonly picture: ImageBitmap; readonly views: boolean };
    readonly answer: DetectedPicture;
  };
  heat: {
    readonly ask: { readonly output: string; readonly channel: number | null };
    readonly answer: PlacedHeatMap;
  };
  taps: {
    readonly ask: { readonly outputs: readonly string[]; readonly point: InputPoint };
    readonly answer: readonly CellTaps[];
  };
}

export type CallName = keyof Calls;

export type Question = {
  [K in CallName]: { readonly id: number; readonly name: K; readonly ask: Calls[K]["ask"] };
}[CallName];

export type Reply =
  | { readonly id: number; readonly answer: Calls[CallName]["answer"] }
  | { readonly id: number; readonly fault: string };
