/** One line of a chart. */
export interface Series {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface ChartOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly yFrom?: number | undefined;
  readonly yTo?: number | undefined;
  readonly xFrom?: number | undefined;
  readonly xTo?: number | undefined;
}

const [width, height] = [460, 260];
const margin = { left: 62, right: 14, top: 30, bottom: 40 };

const few = 12;

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] as string);

/** Four to seven round numbers over a range. */
function ticks(from: number, to: number): number[] {
  const rough = (to - from) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10]
    .map((factor) => factor * power)
    .find((one) => one >= rough * (1 - 1e-9)) as number;
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

const number = (value: number): string =>
  Math.abs(value) >= 10_000
    ? `${Number((value / 1000).toPrecision(6))}k`
    : String(Number(value.toPrecision(6)));

/** A line chart as SVG. */
export function chart(series: readonly Series[], options: ChartOptions): string {
  const points = series
    .flatMap((one) => one.points)
    .filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  if (points.length === 0) return "";
  const range = (axis: 0 | 1, from?: number, to?: number): [number, number] => {
    const values = points.map((point) => point[axis]);
    const low = from ?? values.reduce((a, b) => Math.min(a, b));
    const high = to ?? values.reduce((a, b) => Math.max(a, b));
    return high > low ? [low, high] : [low - 2.5, low + 2.5];
  };
  const [x0, x1] = range(0, options.xFrom, options.xTo);
  const [y0, y1] = range(1, options.yFrom, options.yTo);
  const px = (x: number): number =>
    margin.left + ((x - x0) / (x1 - x0)) * (width - margin.left - margin.right);
  const py = (y: number): number =>
    height - margin.bottom - ((y - y0) / (y1 - y0)) * (height - margin.top - margin.bottom);
  const grid = [
    ...ticks(x0, x1).map(
      (x) =>
        `<line x1="${px(x)}" x2="${px(x)}" y1="${margin.top}" y2="${height - margin.bottom}" class="grid"/><text x="${px(x)}" y="${height - margin.bottom + 15}" text-anchor="middle">${number(x)}</text>`,
    ),
    ...ticks(y0, y1).map(
      (y) =>
        `<line x1="${margin.left}" x2="${width - margin.right}" y1="${py(y)}" y2="${py(y)}" class="grid"/><text x="${margin.left - 6}" y="${py(y) + 4}" text-anchor="end">${number(y)}</text>`,
    ),
  ];
  const lines = series.map(({ points: own, colour }) => {
    // So few are points, not a line.
    const dots =
      own.length > few
        ? []
        : own.map(([x, y]) => `<circle cx="${px(x)}" cy="${py(y)}" r="3" fill="${colour}"/>`);
    const path = own
      .map(([x, y]) => `${px(x).toFixed(1)},${py(Math.min(Math.max(y, y0), y1)).toFixed(1)}`)
      .join(" ");
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.8"/>${dots.join("")}`;
  });
  const legend = series.map(
    ({ name, colour }) => `<span><i style="background:${colour}"></i>${escapeHtml(name)}</span>`,
  );
  return `<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(options.title)}">
<text x="${margin.left}" y="18" class="title">${escapeHtml(options.title)}</text>${grid.join("")}${lines.join("")}
<text x="${(margin.left + width - margin.right) / 2}" y="${height - 6}" text-anchor="middle">${escapeHtml(options.xLabel)}</text>
<text transform="translate(13 ${(margin.top + height - margin.bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeHtml(options.yLabel)}</text>
</svg><figcaption>${legend.join(" ")}</figcaption></figure>`;
}
