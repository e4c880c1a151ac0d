import type { ModelSpec } from "@sepc/core";
import type { InputGeometry } from "../protocol.js";
import type { DetectorClient } from "./client.js";
import { byId } from "./dom.js";
import { HeatMaps } from "./heatMaps.js";
import { SamplingPoints } from "./samplingPoints.js";
import type { Stage } from "./stage.js";
import type { Point } from "./viewport.js";

/** The view into the network: maps of its levels and sampling points of its kernels. */
export class InsidePanel {
  readonly #heat: HeatMaps;
  readonly #points: SamplingPoints;
  readonly #details = byId("inside", HTMLDetailsElement);
  #has = false;

  /** @param opened is called when a person opens the panel: maps are made only while they are looked at */
  constructor(
    client: DetectorClient,
    readonly stage: Stage,
    opened: () => void,
  ) {
    this.#heat = new HeatMaps(client, (heat) => stage.show({ heat: this.#details.open ? heat : null }));
    this.#points = new SamplingPoints(client, (taps, point) => stage.show({ taps, point }));
    this.#details.addEventListener("toggle", () => {
      if (this.wanted) opened();
      else if (!this.#details.open) stage.show({ heat: null, taps: [], point: null });
    });
  }

  /** Whether the next detection should bring the maps. */
  get wanted(): boolean {
    return this.#has && this.#details.open;
  }

  adopt(spec: ModelSpec): void {
    this.#has = (spec.views?.features.length ?? 0) > 0;
    byId("inside-none").hidden = this.#has;
    byId("inside-views").hidden = !this.#has;
    this.#heat.adopt(spec);
    this.#points.adopt(spec);
  }

  async refresh(geometry: InputGeometry): Promise<void> {
    await this.#heat.refresh(geometry);
    await this.#points.refresh(geometry);
  }

  async pick(point: Point): Promise<void> {
    if (this.wanted) await this.#points.pick(point);
  }
}
