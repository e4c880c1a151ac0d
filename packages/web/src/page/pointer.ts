import type { Point } from "./viewport.js";

export interface Gestures {
  /** Moved by so many CSS pixels. */
  move(dx: number, dy: number): void;
  /** Zoomed by a factor around a place. */
  zoom(factor: number, at: Point): void;
  /** Pressed and let go in one place. */
  pick(at: Point): void;
}

/** CSS pixels that a finger may slip in a click. */
const slip = 4;

/** Where an event is, in CSS pixels from the element's corner. */
function placeIn(element: HTMLElement, { clientX, clientY }: MouseEvent): Point {
  const { left, top } = element.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
}

function watchWheel(element: HTMLElement, { zoom }: Gestures): void {
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoom(
        2 ** (-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) * 0.004),
        placeIn(element, event),
      );
    },
    { passive: false },
  );
}

/** Mouse, pen and fingers on an element: drag, wheel, pinch and click. */
export function watchPointers(element: HTMLElement, gestures: Gestures): void {
  watchWheel(element, gestures);
  const down = new Map<number, Point>();
  let travelled = 0;
  const place = (event: MouseEvent): Point => placeIn(element, event);

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || (event.target as Element).closest("button, a")) return;
    element.setPointerCapture(event.pointerId);
    if (down.size === 0) travelled = 0;
    down.set(event.pointerId, place(event));
  });

  element.addEventListener("pointermove", (event) => {
    const from = down.get(event.pointerId);
    if (from === undefined) return;
    const to = place(event);
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    down.set(event.pointerId, to);
    travelled += Math.hypot(to.x - from.x, to.y - from.y);
    if (other !== undefined) {
      const apart = (point: Point): number => Math.hypot(point.x - other.x, point.y - other.y) || 1;
      gestures.zoom(apart(to) / apart(from), { x: (to.x + other.x) / 2, y: (to.y + other.y) / 2 });
    } else if (travelled > slip) gestures.move(to.x - from.x, to.y - from.y);
  });

  const up = (event: PointerEvent): void => {
    const known = down.delete(event.pointerId);
    if (known && down.size === 0 && travelled <= slip && event.type === "pointerup")
      gestures.pick(place(event));
  };
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
}
