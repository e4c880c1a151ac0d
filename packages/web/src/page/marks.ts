import { type Point, type Size, toStage, type View } from "./viewport.js";

/** A map over the picture, in its pixels. */
export interface HeatLayer {
  readonly image: CanvasImageSource;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** 0-1 */
  readonly strength: number;
}

/** The taps of one kernel, in pixels of the picture. */
export interface TapLayer {
  /** Place in the list of kernels: gives colour and shape. */
  readonly kind: number;
  /** The cell that the kernel gives. */
  readonly cell: Point & Size;
  readonly taps: readonly { readonly regular: Point; readonly moved: Point }[];
}

export const tapColours = ["#ffb000", "#4cc9f0", "#ff5d8f", "#a6e22e", "#c792ea"] as const;
export const tapShapes = ["●", "■", "▲", "◆", "★"] as const;

const colourOfTap = (kind: number): string => tapColours[kind % tapColours.length] as string;

/** A filled shape around a point: shapes differ, so that colour is not all that tells kernels apart. */
function shape(pen: CanvasRenderingContext2D, kind: number, { x, y }: Point, radius: number): void {
  const corners = [0, 4, 3, 4, 5][kind % 5] as number;
  pen.beginPath();
  if (corners === 0) pen.arc(x, y, radius, 0, 2 * Math.PI);
  const turn = kind % 5 === 1 ? Math.PI / 4 : -Math.PI / 2;
  for (let i = 0; i < corners; i++) {
    const angle = turn + (2 * Math.PI * i) / corners;
    pen.lineTo(x + 1.25 * radius * Math.cos(angle), y + 1.25 * radius * Math.sin(angle));
  }
  pen.closePath();
}

/** Lines are drawn twice, dark below light, to be seen on any picture. */
function twice(pen: CanvasRenderingContext2D, colour: string, width: number): void {
  pen.strokeStyle = "rgba(0, 0, 0, 0.75)";
  pen.lineWidth = width + 2;
  pen.stroke();
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.stroke();
}

export function drawTaps(pen: CanvasRenderingContext2D, view: View, { kind, cell, taps }: TapLayer): void {
  const colour = colourOfTap(kind);
  const corner = toStage(view, cell);
  pen.beginPath();
  pen.rect(corner.x, corner.y, cell.width * view.scale, cell.height * view.scale);
  twice(pen, colour, 1.5);
  for (const { regular, moved } of taps) {
    const [from, to] = [toStage(view, regular), toStage(view, moved)];
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
    twice(pen, colour, 1);
    pen.beginPath();
    pen.arc(from.x, from.y, 3.5, 0, 2 * Math.PI);
    twice(pen, "white", 1);
  }
  for (const { moved } of taps) {
    shape(pen, kind, toStage(view, moved), 4.5);
    twice(pen, "white", 1);
    pen.fillStyle = colour;
    pen.fill();
  }
}

/** Where the reader clicked. */
export function drawCross(pen: CanvasRenderingContext2D, view: View, at: Point): void {
  const { x, y } = toStage(view, at);
  const arm = 9;
  pen.beginPath();
  pen.moveTo(x - arm, y);
  pen.lineTo(x + arm, y);
  pen.moveTo(x, y - arm);
  pen.lineTo(x, y + arm);
  twice(pen, "white", 1.5);
}

export function drawHeat(pen: CanvasRenderingContext2D, view: View, layer: HeatLayer): void {
  const corner = toStage(view, layer);
  pen.save();
  pen.globalAlpha = layer.strength;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(layer.image, corner.x, corner.y, layer.width * view.scale, layer.height * view.scale);
  pen.restore();
}
