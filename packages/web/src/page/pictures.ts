import type { DetectedObject } from "@sepc/core/runtime";
import { button, byId, make } from "./dom.js";
import type { PlacedFile } from "./files.js";

/** What was found in one picture. */
export interface PictureResult {
  readonly width: number;
  readonly height: number;
  readonly objects: readonly DetectedObject[];
}

export interface Entry extends PlacedFile {
  result: PictureResult | null;
  fault: string | null;
}

/** The pictures that were opened, one of which is shown. */
export class PictureList {
  #entries: Entry[] = [];
  #current = -1;
  readonly #buttons: HTMLButtonElement[] = [];

  /**
   * @param open shows a picture
   * @param count objects that pass the filters
   */
  constructor(
    readonly open: (entry: Entry) => void,
    readonly count: (result: PictureResult) => number,
  ) {
    button("previous").addEventListener("click", () => this.step(-1));
    button("next").addEventListener("click", () => this.step(1));
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  get current(): Entry | null {
    return this.#entries[this.#current] ?? null;
  }

  set(files: readonly PlacedFile[]): void {
    this.#entries = files.map((file) => ({ ...file, result: null, fault: null }));
    this.#buttons.length = 0;
    this.#current = -1;
    byId("list").hidden = files.length < 2;
    byId("list-title").textContent = `${files.length} pictures`;
    byId("pictures").replaceChildren(
      ...this.#entries.map((entry, i) => make("li", {}, this.#button(entry, i))),
    );
    if (files.length > 0) this.go(0);
  }

  clear(): void {
    this.set([]);
  }

  /** Takes results away: another model gives others. */
  forget(): void {
    for (const [i, entry] of this.#entries.entries()) {
      entry.result = null;
      entry.fault = null;
      this.#describe(i);
    }
  }

  go(place: number): void {
    const entry = this.#entries[place];
    if (entry === undefined) return;
    this.#buttons[this.#current]?.removeAttribute("aria-current");
    this.#current = place;
    const own = this.#buttons[place];
    own?.setAttribute("aria-current", "true");
    own?.scrollIntoView({ block: "nearest", inline: "nearest" });
    button("previous").disabled = place === 0;
    button("next").disabled = place === this.#entries.length - 1;
    this.open(entry);
  }

  step(by: number): void {
    this.go(this.#current + by);
  }

  /** Counts again, after filters have changed. */
  recount(): void {
    for (const i of this.#entries.keys()) this.#describe(i);
  }

  note(entry: Entry, result: PictureResult | null, fault: string | null = null): void {
    entry.result = result;
    entry.fault = fault;
    this.#describe(this.#entries.indexOf(entry));
  }

  #button({ path }: Entry, place: number): HTMLButtonElement {
    const made = make("button", { type: "button" }, make("span", {}, path), make("span", { class: "count" }));
    made.addEventListener("click", () => this.go(place));
    this.#buttons.push(made);
    return made;
  }

  #describe(place: number): void {
    const entry = this.#entries[place];
    const note = this.#buttons[place]?.lastElementChild;
    if (entry === undefined || !note) return;
    const found = entry.result === null ? "" : `${this.count(entry.result)} found`;
    note.textContent = entry.fault === null ? found : "unreadable";
  }
}
