import type { MapView, ModelSpec } from "@sepc/core";
import type { InputGeometry, PlacedHeatMap } from "../protocol.js";
import type { DetectorClient } from "./client.js";
import { act, byId, input, make, select } from "./dom.js";
import { heatPixels } from "./heatColours.js";
import type { HeatLayer } from "./marks.js";

const short = (value: number): string => Number(value.toPrecision(3)).toString();

/** "class branch" of "p3 class branch"; what only names its level belongs to the pyramid. */
export const partOf = ({ level }: MapView): string => level.replace(/^p\d+\s*/, "") || "pyramid";

/** A level's map on the page. */
interface Figure {
  readonly view: MapView;
  readonly image: HTMLCanvasElement;
  readonly press: HTMLButtonElement;
  readonly size: HTMLElement;
  readonly range: HTMLElement;
  map: PlacedHeatMap | null;
}

/** Small pictures of every level's map; one of them may lie over the picture. */
export class HeatMaps {
  #figures: Figure[] = [];
  #geometry: InputGeometry | null = null;
  #chosen: Figure | null = null;

  constructor(
    readonly client: DetectorClient,
    readonly show: (layer: HeatLayer | null) => void,
  ) {
    select("heat-mode").addEventListener("change", () => {
      byId("heat-channel-label").hidden = select("heat-mode").value !== "one";
      this.#again();
    });
    input("heat-channel").addEventListener("change", () => this.#again());
    input("heat-strength").addEventListener("input", () => {
      byId("heat-strength-value").textContent = `${Math.round(100 * input("heat-strength").valueAsNumber)}%`;
      this.#layer();
    });
  }

  adopt({ views }: ModelSpec): void {
    this.#figures = (views?.features ?? []).map((view) => this.#figure(view));
    this.#chosen = null;
    this.#geometry = null;
    const parts = new Map<string, Figure[]>();
    for (const figure of this.#figures)
      parts.set(partOf(figure.view), [...(parts.get(partOf(figure.view)) ?? []), figure]);
    byId("heat-maps").replaceChildren(
      ...[...parts].map(([name, figures]) =>
        make("fieldset", {}, make("legend", {}, name), ...figures.map(({ press }) => press)),
      ),
    );
    byId("heat-maps").hidden = true;
    this.show(null);
  }

  /** Asks for the maps of the picture that was just detected on. */
  async refresh(geometry: InputGeometry): Promise<void> {
    const channel = select("heat-mode").value === "one" ? input("heat-channel").valueAsNumber || 0 : null;
    const figures = this.#figures;
    const maps = await Promise.all(
      figures.map(({ view }) => this.client.call("heat", { output: view.output, channel })),
    );
    this.#geometry = geometry;
    for (const [i, figure] of figures.entries()) paint(figure, maps[i] as PlacedHeatMap);
    input("heat-channel").max = String((maps[0]?.channels ?? 1) - 1);
    byId("heat-maps").hidden = false;
    this.#layer();
  }

  #again(): void {
    const geometry = this.#geometry;
    if (geometry !== null) act(() => this.refresh(geometry));
  }

  #figure(view: MapView): Figure {
    const image = make("canvas", { "aria-hidden": true });
    const [size, range] = [make("span"), make("span", { class: "hint" })];
    const press = make(
      "button",
      { type: "button", class: "map", "aria-pressed": "false" },
      image,
      size,
      range,
    );
    const figure: Figure = { view, image, press, size, range, map: null };
    press.addEventListener("click", () => this.#choose(figure));
    return figure;
  }

  #choose(figure: Figure): void {
    this.#chosen = this.#chosen === figure ? null : figure;
    for (const one of this.#figures) one.press.setAttribute("aria-pressed", String(one === this.#chosen));
    this.#layer();
  }

  #layer(): void {
    const map = this.#chosen?.map;
    const geometry = this.#geometry;
    if (!this.#chosen || !map || geometry === null) {
      this.show(null);
      return;
    }
    const { scaleX, scaleY } = geometry;
    const { x, y, width, height } = map.extent;
    this.show({
      image: this.#chosen.image,
      x: x / scaleX,
      y: y / scaleY,
      width: width / scaleX,
      height: height / scaleY,
      strength: input("heat-strength").valueAsNumber,
    });
  }
}

/** Puts a picture's map into its place on the page. */
function paint(figure: Figure, map: PlacedHeatMap): void {
  const { image, view, size, range } = figure;
  figure.map = map;
  [image.width, image.height] = [map.width, map.height];
  image.getContext("2d")?.putImageData(new ImageData(heatPixels(map), map.width, map.height), 0, 0);
  size.textContent = `${view.level.split(" ")[0]}: ${map.height}×${map.width} cells of ${view.stride} pixels`;
  range.textContent = `${short(map.least)} to ${short(map.most)}`;
}
