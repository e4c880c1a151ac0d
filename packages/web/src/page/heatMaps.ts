import type { MapView, ModelSpec } from "@sepc/core";
import type { InputGeometry, PlacedHeatMap } from "../protocol.js";
import type { DetectorClient } from "./client.js";
import { act, byId, input, make, select } from "./dom.js";
import { heatPixels } from "./heatColours.js";
import type { HeatLayer } from "./marks.js";

const short = (value: number): string => Number(value.toPrecision(3)).toString();

/** "class branch" of "p3 class branch"; what only names its level belongs to the pyramid. */
export const partOf = ({ level }: MapView): string => level.replace(/^p\d+\s*/, "") || "pyramid";

/** Small pictures of every level's map; one of them may lie over the picture. */
export class HeatMaps {
  #views: readonly MapView[] = [];
  #geometry: InputGeometry | null = null;
  #chosen: string | null = null;
  readonly #maps = new Map<string, { readonly map: PlacedHeatMap; readonly image: HTMLCanvasElement }>();

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
    this.#views = views?.features ?? [];
    this.#maps.clear();
    this.#chosen = null;
    byId("heat-maps").replaceChildren();
    this.show(null);
  }

  /** Asks for the maps of the picture that was just detected on. */
  async refresh(geometry: InputGeometry): Promise<void> {
    this.#geometry = geometry;
    const channel = select("heat-mode").value === "one" ? input("heat-channel").valueAsNumber || 0 : null;
    const maps = await Promise.all(
      this.#views.map(({ output }) => this.client.call("heat", { output, channel })),
    );
    const parts = new Map<string, HTMLElement[]>();
    for (const [i, view] of this.#views.entries()) {
      const map = maps[i] as PlacedHeatMap;
      const part = partOf(view);
      parts.set(part, [...(parts.get(part) ?? []), this.#figure(view, map)]);
      input("heat-channel").max = String(map.channels - 1);
    }
    byId("heat-maps").replaceChildren(
      ...[...parts].map(([name, figures]) => make("fieldset", {}, make("legend", {}, name), ...figures)),
    );
    this.#layer();
  }

  #again(): void {
    const geometry = this.#geometry;
    if (geometry !== null) act(() => this.refresh(geometry));
  }

  #figure({ output, level, stride }: MapView, map: PlacedHeatMap): HTMLElement {
    const image = make("canvas", { width: map.width, height: map.height, "aria-hidden": true });
    image.getContext("2d")?.putImageData(new ImageData(heatPixels(map), map.width, map.height), 0, 0);
    this.#maps.set(output, { map, image });
    const cells = `${map.height}×${map.width} cells of ${stride} pixels`;
    const range = `${short(map.least)} to ${short(map.most)}`;
    const press = make(
      "button",
      { type: "button", class: "map", "aria-pressed": output === this.#chosen ? "true" : "false" },
      image,
      make("span", {}, `${level.split(" ")[0]}: ${cells}`),
      make("span", { class: "hint" }, range),
    );
    press.dataset.output = output;
    press.addEventListener("click", () => this.#choose(output === this.#chosen ? null : output));
    return press;
  }

  #choose(output: string | null): void {
    this.#chosen = output;
    for (const press of byId("heat-maps").querySelectorAll("button"))
      press.setAttribute("aria-pressed", String(press.dataset.output === output));
    this.#layer();
  }

  #layer(): void {
    const found = this.#chosen === null ? undefined : this.#maps.get(this.#chosen);
    const geometry = this.#geometry;
    if (found === undefined || geometry === null) {
      this.show(null);
      return;
    }
    const { scaleX, scaleY } = geometry;
    const { x, y, width, height } = found.map.extent;
    this.show({
      image: found.image,
      x: x / scaleX,
      y: y / scaleY,
      width: width / scaleX,
      height: height / scaleY,
      strength: input("heat-strength").valueAsNumber,
    });
  }
}
