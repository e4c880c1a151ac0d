import type { ModelSpec } from "@sepc/core";
import type { CellTaps, InputGeometry } from "../protocol.js";
import type { DetectorClient } from "./client.js";
import { act, byId, input, make, select } from "./dom.js";
import { type KernelGroup, type KernelLevel, kernelGroups } from "./kernels.js";
import { type TapLayer, tapColours, tapShapes } from "./marks.js";
import type { Point } from "./viewport.js";

/** Longest and mean way in cells that offsets move taps. */
function movement(taps: CellTaps["taps"], readStride: number): { most: number; mean: number } {
  const ways = taps.map(
    ({ regular, moved }) => Math.hypot(moved.x - regular.x, moved.y - regular.y) / readStride,
  );
  return { most: Math.max(...ways), mean: ways.reduce((sum, way) => sum + way, 0) / ways.length };
}

/** Where deformable kernels read for a place of the picture. */
export class SamplingPoints {
  #spec: ModelSpec | null = null;
  #groups: KernelGroup[] = [];
  #geometry: InputGeometry | null = null;
  #point: Point | null = null;

  /** @param show gets layers and the place, both in pixels of the picture */
  constructor(
    readonly client: DetectorClient,
    readonly show: (layers: readonly TapLayer[], point: Point | null) => void,
  ) {
    select("taps-kernel").addEventListener("change", () => {
      this.#listLevels();
      this.#again();
    });
    select("taps-level").addEventListener("change", () => this.#again());
    for (const id of ["taps-x", "taps-y"]) input(id).addEventListener("change", () => this.#typed());
  }

  adopt(spec: ModelSpec): void {
    this.#spec = spec;
    this.#groups = kernelGroups(spec.views?.offsets ?? []);
    byId("taps-part").hidden = this.#groups.length === 0;
    select("taps-kernel").replaceChildren(
      ...this.#groups.map(({ name }, i) => make("option", { value: i }, name)),
    );
    this.#listLevels();
    this.clear();
  }

  clear(): void {
    this.#point = null;
    byId("taps-legend").replaceChildren();
    this.show([], null);
  }

  refresh(geometry: InputGeometry): Promise<void> {
    this.#geometry = geometry;
    return this.#ask();
  }

  /** A place of the picture in its pixels. */
  async pick(point: Point): Promise<void> {
    this.#point = point;
    input("taps-x").value = String(Math.floor(point.x));
    input("taps-y").value = String(Math.floor(point.y));
    await this.#ask();
  }

  #typed(): void {
    const [x, y] = [input("taps-x").valueAsNumber, input("taps-y").valueAsNumber];
    if (Number.isFinite(x) && Number.isFinite(y)) act(() => this.pick({ x: x + 0.5, y: y + 0.5 }));
  }

  #again(): void {
    act(() => this.#ask());
  }

  #listLevels(): void {
    const group = this.#groups[Number(select("taps-kernel").value)];
    const before = select("taps-level").value;
    const levels = group?.levels ?? [];
    select("taps-level").replaceChildren(...levels.map(({ level }) => make("option", {}, level)));
    if (levels.some(({ level }) => level === before)) select("taps-level").value = before;
  }

  get #level(): KernelLevel | undefined {
    const group = this.#groups[Number(select("taps-kernel").value)];
    return group?.levels.find(({ level }) => level === select("taps-level").value);
  }

  async #ask(): Promise<void> {
    const [level, point, geometry] = [this.#level, this.#point, this.#geometry];
    if (level === undefined || point === null || geometry === null) return;
    const { scaleX, scaleY } = geometry;
    const found = await this.client.call("taps", {
      outputs: level.parts.map(({ output }) => output),
      point: { x: point.x * scaleX, y: point.y * scaleY },
    });
    const back = ({ x, y }: Point): Point => ({ x: x / scaleX, y: y / scaleY });
    const inOrder = level.parts.flatMap(({ output }) => found.find((one) => one.output === output) ?? []);
    const layers = inOrder.map(({ taps, cell }, kind) => ({
      kind,
      cell: { ...back(cell), width: cell.width / scaleX, height: cell.height / scaleY },
      taps: taps.map(({ regular, moved }) => ({ regular: back(regular), moved: back(moved) })),
    }));
    byId("taps-legend").replaceChildren(...inOrder.map((cell, kind) => this.#entry(level, cell, kind)));
    this.show(layers, point);
  }

  #entry(
    { parts }: KernelLevel,
    { output, row, column, rows, columns, taps }: CellTaps,
    kind: number,
  ): HTMLElement {
    const view = this.#spec?.views?.offsets.find((one) => one.output === output);
    const { most, mean } = movement(taps, view?.readStride ?? 1);
    const mark = make(
      "span",
      { class: "mark", "aria-hidden": true },
      tapShapes[kind % tapShapes.length] ?? "",
    );
    mark.style.color = tapColours[kind % tapColours.length] ?? "";
    const reads = parts.find((part) => part.output === output)?.reads ?? "";
    const words = `${reads}, for the cell in row ${row}, column ${column} of ${rows}×${columns}; taps move ${mean.toFixed(2)} cells in the mean, ${most.toFixed(2)} at most`;
    return make("li", {}, mark, words);
  }
}
