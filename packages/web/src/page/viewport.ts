/** A place in CSS pixels of the stage or in pixels of the picture. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** How the picture lies on the stage: `scale` CSS pixels for one of the picture, its corner at `x`, `y`. */
export interface View extends Point {
  readonly scale: number;
}

const largest = 40;

/** The whole picture, in the middle; small pictures are enlarged. */
export function fitted(picture: Size, stage: Size): View {
  const most = 8;
  const scale = Math.min(stage.width / picture.width, stage.height / picture.height, most);
  return {
    scale,
    x: (stage.width - picture.width * scale) / 2,
    y: (stage.height - picture.height * scale) / 2,
  };
}

/** Keeps the picture on the stage: what is smaller lies in the middle, what is larger covers it. */
export function held(view: View, picture: Size, stage: Size): View {
  const place = (at: number, side: number, room: number): number =>
    side <= room ? (room - side) / 2 : Math.min(0, Math.max(room - side, at));
  return {
    scale: view.scale,
    x: place(view.x, picture.width * view.scale, stage.width),
    y: place(view.y, picture.height * view.scale, stage.height),
  };
}

/** Zooms by a factor; the picture's point under `at` stays there. */
export function zoomed(view: View, factor: number, at: Point, picture: Size, stage: Size): View {
  const least = fitted(picture, stage).scale;
  const scale = Math.min(Math.max(view.scale * factor, least), Math.max(largest, least));
  const ratio = scale / view.scale;
  return held(
    { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio },
    picture,
    stage,
  );
}

/** Brings a box to the middle, with room around it. */
export function around(
  [x1, y1, x2, y2]: readonly [number, number, number, number],
  picture: Size,
  stage: Size,
): View {
  const room = 3;
  const wanted = Math.min(stage.width / ((x2 - x1) * room || 1), stage.height / ((y2 - y1) * room || 1));
  const scale = Math.min(Math.max(wanted, fitted(picture, stage).scale), largest);
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  return held({ scale, x: stage.width / 2 - x * scale, y: stage.height / 2 - y * scale }, picture, stage);
}

export const toPicture = (view: View, { x, y }: Point): Point => ({
  x: (x - view.x) / view.scale,
  y: (y - view.y) / view.scale,
});

export const toStage = (view: View, { x, y }: Point): Point => ({
  x: x * view.scale + view.x,
  y: y * view.scale + view.y,
});
