import type { Detection } from "@sepc/core";
import { drawObjects } from "@sepc/core/draw";
import { button, byId } from "./dom.js";
import { drawCross, drawHeat, drawTaps, type HeatLayer, type TapLayer } from "./marks.js";
import { watchPointers } from "./pointer.js";
import {
  around,
  fitted,
  held,
  type Point,
  type Size,
  toPicture,
  toStage,
  type View,
  zoomed,
} from "./viewport.js";

/** All that lies on the stage. */
export interface Scene {
  readonly picture: ImageBitmap | null;
  readonly objects: readonly Detection[];
  readonly classes: readonly string[];
  readonly names: boolean;
  /** The object that a person looks at. */
  readonly marked: Detection | null;
  readonly heat: HeatLayer | null;
  readonly taps: readonly TapLayer[];
  readonly point: Point | null;
}

const nothing: Scene = {
  picture: null,
  objects: [],
  classes: [],
  names: true,
  marked: null,
  heat: null,
  taps: [],
  point: null,
};

/** The picture with what is drawn over it; zoom by wheel, fingers, keys and buttons. */
export class Stage {
  readonly #element = byId("stage");
  readonly #canvas = byId("canvas", HTMLCanvasElement);
  #scene: Scene = nothing;
  #view: View = { scale: 1, x: 0, y: 0 };
  /** Whether the person has not zoomed: then the picture follows the stage's size. */
  #fits = true;
  #drawing = 0;

  /** @param pick gets places in pixels of the picture */
  constructor(pick: (at: Point) => void) {
    new ResizeObserver(() => this.#resized()).observe(this.#element);
    watchPointers(this.#element, {
      move: (dx, dy) => this.#move(dx, dy),
      zoom: (factor, at) => this.zoom(factor, at),
      pick: (at) => {
        const { picture } = this.#scene;
        if (picture === null) return;
        const { x, y } = toPicture(this.#view, at);
        if (x >= 0 && y >= 0 && x < picture.width && y < picture.height) pick({ x, y });
      },
    });
    this.#element.addEventListener("keydown", (event) => this.#key(event));
    button("zoom-in").addEventListener("click", () => this.zoom(1.5));
    button("zoom-out").addEventListener("click", () => this.zoom(1 / 1.5));
    button("zoom-fit").addEventListener("click", () => this.fit());
  }

  get #size(): Size {
    return { width: this.#element.clientWidth, height: this.#element.clientHeight };
  }

  get scene(): Scene {
    return this.#scene;
  }

  /** Changes a part of what is shown. */
  show(part: Partial<Scene>): void {
    const before = this.#scene.picture;
    this.#scene = { ...this.#scene, ...part };
    const { picture } = this.#scene;
    byId("welcome").hidden = picture !== null;
    if (picture?.width !== before?.width || picture?.height !== before?.height) this.fit();
    this.#draw();
  }

  /** What a screen reader says of the picture. */
  describe(text: string): void {
    this.#element.setAttribute("aria-label", text);
  }

  fit(): void {
    this.#fits = true;
    if (this.#scene.picture) this.#look(fitted(this.#scene.picture, this.#size));
  }

  zoom(factor: number, at?: Point): void {
    const { picture } = this.#scene;
    if (picture === null) return;
    const { width, height } = this.#size;
    const centre = at ?? { x: width / 2, y: height / 2 };
    const view = zoomed(this.#view, factor, centre, picture, this.#size);
    this.#fits = view.scale <= fitted(picture, this.#size).scale;
    this.#look(view);
  }

  /** Brings an object to the middle. */
  lookAt({ box }: Detection): void {
    if (this.#scene.picture === null) return;
    this.#fits = false;
    this.#look(around(box, this.#scene.picture, this.#size));
  }

  #look(view: View): void {
    this.#view = view;
    byId("zoom-level").textContent = `${Math.round(100 * view.scale)}%`;
    // A finger scrolls the page until the picture is zoomed.
    this.#element.classList.toggle("zoomed", !this.#fits);
    this.#draw();
  }

  #move(dx: number, dy: number): void {
    const { picture } = this.#scene;
    if (picture === null) return;
    const { scale, x, y } = this.#view;
    this.#look(held({ scale, x: x + dx, y: y + dy }, picture, this.#size));
  }

  #key(event: KeyboardEvent): void {
    if (event.target !== this.#element || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 60; // CSS pixels
    const keys: Readonly<Record<string, () => void>> = {
      "+": () => this.zoom(1.25),
      "=": () => this.zoom(1.25),
      "-": () => this.zoom(0.8),
      "0": () => this.fit(),
      ArrowLeft: () => this.#move(step, 0),
      ArrowRight: () => this.#move(-step, 0),
      ArrowUp: () => this.#move(0, step),
      ArrowDown: () => this.#move(0, -step),
    };
    const run = keys[event.key];
    if (run === undefined) return;
    event.preventDefault();
    run();
  }

  #resized(): void {
    const { width, height } = this.#size;
    const pixels = devicePixelRatio;
    this.#canvas.width = Math.max(1, Math.round(width * pixels));
    this.#canvas.height = Math.max(1, Math.round(height * pixels));
    const { picture } = this.#scene;
    if (picture === null) return;
    this.#look(this.#fits ? fitted(picture, this.#size) : held(this.#view, picture, this.#size));
  }

  #draw(): void {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = requestAnimationFrame(() => this.#paint());
  }

  #paint(): void {
    const pen = this.#canvas.getContext("2d");
    if (pen === null) return;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const { picture, heat, taps, point } = this.#scene;
    if (picture === null) return;
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    const view = this.#view;
    pen.imageSmoothingEnabled = view.scale < 3;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, view.x, view.y, picture.width * view.scale, picture.height * view.scale);
    if (heat !== null) drawHeat(pen, view, heat);
    this.#boxes(pen);
    for (const layer of taps) drawTaps(pen, view, layer);
    if (point !== null) drawCross(pen, view, point);
  }

  #boxes(pen: CanvasRenderingContext2D): void {
    const { objects, marked, classes, names } = this.#scene;
    const size = this.#size;
    const onStage = objects.filter(({ box }) => this.#sees(box)).map((one) => this.#placed(one, size));
    drawObjects(pen, onStage, { classes, ...size, fontFamily: "system-ui, sans-serif", labels: names });
    if (marked === null || !this.#sees(marked.box)) return;
    const [x1, y1, x2, y2] = this.#placed(marked, size).box;
    for (const [colour, width] of [["black", 7] as const, ["white", 4] as const]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    }
    drawObjects(pen, [this.#placed(marked, size)], { classes, ...size, fontFamily: "system-ui, sans-serif" });
  }

  #sees([x1, y1, x2, y2]: Detection["box"]): boolean {
    const { width, height } = this.#size;
    const [from, to] = [toStage(this.#view, { x: x1, y: y1 }), toStage(this.#view, { x: x2, y: y2 })];
    return to.x >= 0 && to.y >= 0 && from.x <= width && from.y <= height;
  }

  /** An object in CSS pixels of the stage; what lies outside is cut, so that names stay in sight. */
  #placed(object: Detection, { width, height }: Size): Detection {
    const margin = 2;
    const [x1, y1, x2, y2] = object.box;
    const [from, to] = [toStage(this.#view, { x: x1, y: y1 }), toStage(this.#view, { x: x2, y: y2 })];
    const box = [
      Math.max(from.x, -margin),
      Math.max(from.y, -margin),
      Math.min(to.x, width + margin),
      Math.min(to.y, height + margin),
    ] as const;
    return { ...object, box: [...box] };
  }
}
