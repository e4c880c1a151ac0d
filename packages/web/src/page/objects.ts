import type { ModelSpec } from "@sepc/core";
import { colourOf } from "@sepc/core/draw";
import type { DetectedObject } from "@sepc/core/runtime";
import { button, byId, input, make } from "./dom.js";

/** Rows that the table shows: more help nobody, and slow the page. */
const mostRows = 300;
/** From this many classes on there is a field to find one. */
const manyClasses = 12;

export interface ObjectsEvents {
  /** What is shown has changed. */
  changed(): void;
  /** A person points at an object, or at none. */
  marked(object: DetectedObject | null): void;
  /** A person wants to see an object. */
  visited(object: DetectedObject): void;
}

/** "3 circle, 1 star", most first. */
export function countsInWords(objects: readonly DetectedObject[]): string {
  const counts = new Map<string, number>();
  for (const { name } of objects) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");
}

/** Filters by score and class, and the table of what passes them. */
export class ObjectsPanel {
  #objects: readonly DetectedObject[] = [];
  #classes: readonly string[] = [];
  #hidden = new Set<number>();
  readonly #checks: HTMLInputElement[] = [];
  readonly #counts: HTMLElement[] = [];

  constructor(readonly events: ObjectsEvents) {
    input("score").addEventListener("input", () => this.#filter());
    button("classes-all").addEventListener("click", () => this.#all(true));
    button("classes-none").addEventListener("click", () => this.#all(false));
    input("classes-find").addEventListener("input", () => this.#find());
    byId("objects").addEventListener("pointerleave", () => events.marked(null));
  }

  get threshold(): number {
    return input("score").valueAsNumber;
  }

  /** Takes the classes of a model over. */
  adopt({ classes, decode }: ModelSpec): void {
    this.#classes = classes;
    this.#hidden = new Set();
    this.#checks.length = 0;
    this.#counts.length = 0;
    input("score").min = String(Math.floor(100 * (decode.postprocess.scoreThreshold ?? 0)) / 100);
    byId("classes").replaceChildren(...classes.map((name, label) => this.#choice(name, label)));
    byId("classes-find-label").hidden = classes.length < manyClasses;
    this.show([]);
  }

  show(objects: readonly DetectedObject[]): void {
    this.#objects = objects;
    for (const [label, count] of this.#counts.entries()) {
      const found = objects.filter((object) => object.label === label).length;
      count.textContent = found > 0 ? String(found) : "";
    }
    this.#filter();
  }

  /** Those that pass the filters. */
  passing(objects: readonly DetectedObject[] = this.#objects): DetectedObject[] {
    const least = this.threshold;
    return objects.filter(({ score, label }) => score >= least && !this.#hidden.has(label));
  }

  #choice(name: string, label: number): HTMLElement {
    const check = make("input", { type: "checkbox", checked: true });
    const count = make("span", { class: "count" });
    const swatch = make("span", { class: "swatch", "aria-hidden": true });
    swatch.style.background = colourOf(label);
    check.addEventListener("change", () => {
      if (check.checked) this.#hidden.delete(label);
      else this.#hidden.add(label);
      this.#filter();
    });
    this.#checks.push(check);
    this.#counts.push(count);
    return make("label", { class: "inline" }, check, swatch, name, count);
  }

  #all(shown: boolean): void {
    this.#hidden = new Set(shown ? [] : this.#classes.keys());
    for (const check of this.#checks) check.checked = shown;
    this.#filter();
  }

  #find(): void {
    const part = input("classes-find").value.trim().toLowerCase();
    for (const [label, check] of this.#checks.entries()) {
      const { parentElement } = check;
      if (parentElement) parentElement.hidden = !(this.#classes[label] ?? "").toLowerCase().includes(part);
    }
  }

  #filter(): void {
    const shown = this.passing();
    byId("score-value").textContent = `${Math.round(100 * this.threshold)}%`;
    const active = this.#classes.length - this.#hidden.size;
    byId("classes-summary").textContent = `Classes: ${active} of ${this.#classes.length} shown`;
    const rest = shown.length - mostRows;
    byId("objects-caption").textContent =
      shown.length === 0
        ? "No objects with these filters"
        : `${shown.length} ${shown.length === 1 ? "object" : "objects"}: ${countsInWords(shown)}${rest > 0 ? `; the best ${mostRows} are listed` : ""}`;
    byId("objects").replaceChildren(...shown.slice(0, mostRows).map((object) => this.#row(object)));
    this.events.changed();
  }

  #row(object: DetectedObject): HTMLElement {
    const [x1, y1, x2, y2] = object.box;
    const swatch = make("span", { class: "swatch", "aria-hidden": true });
    swatch.style.background = colourOf(object.label);
    const box = [x1, y1, x2 - x1, y2 - y1].map((side) => side.toFixed(0)).join(", ");
    const go = make("button", { type: "button", class: "link" }, object.name);
    go.title = "Zoom to it";
    go.addEventListener("click", () => this.events.visited(object));
    go.addEventListener("focus", () => this.events.marked(object));
    go.addEventListener("blur", () => this.events.marked(null));
    const row = make(
      "tr",
      {},
      make("th", { scope: "row" }, swatch, go),
      make("td", {}, `${(100 * object.score).toFixed(1)}%`),
      make("td", {}, box),
    );
    row.addEventListener("pointerenter", () => this.events.marked(object));
    return row;
  }
}
