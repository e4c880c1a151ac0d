import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { colourOf } from "@sepc/core/draw";
import {
  analyseErrors,
  type CocoEvaluation,
  type Confusion,
  columnsOfResults,
  columnsOfTruth,
  confusionMatrix,
  type ErrorKind,
  precisionRecall,
  type TideErrors,
} from "@sepc/core/eval";
import { io } from "@sepc/engine";
import { decodeImage } from "../data/decode.js";
import type { DetectionDataset } from "../data/types.js";
import {
  evaluateDetections,
  groundTruthOf,
  type ImageDetections,
  resultsOf,
  statNames,
} from "../evaluation/dataset.js";
import { drawDetections } from "../inference/draw.js";
import { chart, escapeHtml, type Series } from "./chart.js";

export interface ReportOptions {
  /** Folder of the run: log.jsonl and config.json are read, report.html is written. */
  readonly folder: string;
  readonly dataset: DetectionDataset;
  readonly found: readonly ImageDetections[];
  /** Least score of detections that are drawn and counted as found. */
  readonly score?: number | undefined;
  /** Pictures shown of the best and of the worst. */
  readonly pictures?: number | undefined;
}

type Entry = Readonly<Record<string, number | string>> & { readonly kind: string };

function readLog(folder: string): Entry[] {
  const file = join(folder, "log.jsonl");
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").trim().split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Entry);
}

/** Every so many points the mean: a page does not need ten thousand. */
function thinned(points: readonly (readonly [number, number])[], most = 200): [number, number][] {
  const size = Math.max(1, Math.ceil(points.length / most));
  const out: [number, number][] = [];
  for (let first = 0; first < points.length; first += size) {
    const part = points.slice(first, first + size);
    const mean = (axis: 0 | 1): number => part.reduce((sum, point) => sum + point[axis], 0) / part.length;
    out.push([mean(0), mean(1)]);
  }
  return out;
}

function trainingCharts(log: readonly Entry[]): string {
  const of = (kind: string, field: string): [number, number][] =>
    log
      .filter((entry) => entry.kind === kind && typeof entry[field] === "number")
      .map((entry) => [entry.step as number, entry[field] as number]);
  const line = (name: string, points: readonly (readonly [number, number])[], label: number): Series => ({
    name,
    points: thinned(points),
    colour: colourOf(label),
  });
  const losses = [
    "total",
    ...new Set(log.flatMap((entry) => Object.keys(entry).filter((key) => key.startsWith("loss_")))),
  ];
  return [
    chart(
      losses.map((name, i) => line(name.replace("loss_", ""), of("train", name), i)),
      {
        title: "Loss",
        xLabel: "step",
        yLabel: "loss",
        yFrom: 0,
      },
    ),
    chart(
      ["AP", "AP50", "AP75"].map((name, i) => line(name, of("eval", name), i)),
      {
        title: "Validation",
        xLabel: "step",
        yLabel: "AP",
        yFrom: 0,
        yTo: 1,
      },
    ),
    chart([line("learning rate", of("train", "lr"), 3)], {
      title: "Learning rate",
      xLabel: "step",
      yLabel: "rate",
      yFrom: 0,
    }),
    chart([line("images a second", of("train", "images_per_second"), 4)], {
      title: "Speed",
      xLabel: "step",
      yLabel: "images / s",
      yFrom: 0,
    }),
  ].join("");
}

/** Precision over recall of each class at an overlap of 0.5. */
function precisionRecallChart(evaluation: CocoEvaluation): string {
  const label = (id: number): number => evaluation.classes.findIndex((own) => own.id === id);
  const series = precisionRecall(evaluation, 0.5)
    .slice(0, 12)
    .map(({ id, name, recall, precision }): Series => {
      const ap50 = evaluation.classes[label(id)]?.ap50 ?? 0;
      const points = recall.map((r, i): [number, number] => [r, precision[i] as number]);
      return { name: `${name} (AP50 ${ap50.toFixed(2)})`, points, colour: colourOf(label(id)) };
    });
  return chart(series, {
    title: "Precision and recall, IoU 0.5",
    xLabel: "recall",
    yLabel: "precision",
    xFrom: 0,
    xTo: 1,
    yFrom: 0,
    yTo: 1,
  });
}

const figure = (value: number): string => (value < 0 ? "–" : value.toFixed(3));

function tables(evaluation: CocoEvaluation): string {
  const stats = statNames
    .map((name, i) => `<tr><th>${name}</th><td>${figure(evaluation.stats[i] as number)}</td></tr>`)
    .join("");
  const rows = evaluation.classes
    .filter(({ ap }) => ap >= 0)
    .map(
      ({ name, ap, ap50, ap75, ar }) =>
        `<tr><th>${escapeHtml(name)}</th>${[ap, ap50, ap75, ar].map((value) => `<td>${figure(value)}</td>`).join("")}</tr>`,
    )
    .join("");
  return `<div class="side"><table><caption>All classes</caption>${stats}</table>
<table><caption>By class</caption><tr><th></th><th>AP</th><th>AP50</th><th>AP75</th><th>AR</th></tr>${rows}</table></div>`;
}

const errorTitles: Readonly<Record<ErrorKind, string>> = {
  classification: "right place, wrong class",
  localization: "right class, wrong place",
  both: "wrong class and place",
  duplicate: "found twice",
  background: "nothing there",
  missed: "missed",
};

/** What each kind of error costs (TIDE). */
function errorTable({ errors, foreground }: TideErrors): string {
  const rows = Object.entries(errors).map(
    ([kind, { count, dAP }]) =>
      `<tr><th>${errorTitles[kind as ErrorKind]}</th><td>${count}</td><td>${dAP.toFixed(3)}</td></tr>`,
  );
  return `<table><caption>What AP at IoU ${foreground} would gain without each kind of error</caption>
<tr><th></th><th>errors</th><th>gain</th></tr>${rows.join("")}</table>`;
}

function confusionTable({ names: known, matrix, score, iou }: Confusion): string {
  const names = [...known.slice(0, -1), "nothing"];
  if (names.length > 25) return "";
  const rows = matrix.map((row, r) => {
    const sum = Math.max(
      1,
      row.reduce((total, n) => total + n, 0),
    );
    const cells = row.map(
      (n) =>
        `<td style="background:rgba(32,112,192,${(n / sum).toFixed(2)})${n / sum > 0.5 ? ";color:#fff" : ""}">${n === 0 ? "" : n}</td>`,
    );
    return `<tr><th>${escapeHtml(names[r] as string)}</th>${cells.join("")}</tr>`;
  });
  const header = names
    .map((name, i) => `<th>${escapeHtml(i === names.length - 1 ? "missed" : name)}</th>`)
    .join("");
  return `<table class="confusion"><caption>What was found as what (score from ${score}, IoU from ${iou}): a row for what is there, a column for what was found</caption><tr><th></th>${header}</tr>${rows.join("")}</table>`;
}

/** Pictures by their own AP50, worst first; pictures without objects are left out. */
function byQuality(
  dataset: DetectionDataset,
  found: readonly ImageDetections[],
): { image: number; ap50: number }[] {
  return found
    .filter(({ image }) => (dataset.images[image]?.objects.length ?? 0) > 0)
    .map(({ image, detections }) => {
      const one = { ...dataset, images: [dataset.images[image] as DetectionDataset["images"][number]] };
      const { stats } = evaluateDetections(one, [{ image: 0, detections }], { iouThresholds: [0.5] });
      return { image, ap50: stats[1] as number };
    })
    .sort((a, b) => a.ap50 - b.ap50);
}

async function gallery(
  { dataset, found, score = 0.3 }: ReportOptions,
  chosen: readonly { image: number; ap50: number }[],
): Promise<string> {
  const classes = dataset.categories.map(({ name }) => name);
  const figures: string[] = [];
  for (const { image, ap50 } of chosen) {
    const record = dataset.images[image] as DetectionDataset["images"][number];
    const detections = found.find((one) => one.image === image)?.detections ?? [];
    const picture = await decodeImage(record.file);
    const drawn = await drawDetections(
      picture,
      detections.filter((one) => one.score >= score),
      { classes, truth: record.objects },
    );
    const name = record.file.split(/[\\/]/).at(-1) as string;
    figures.push(
      `<figure><img alt="${escapeHtml(name)}" src="data:image/jpeg;base64,${drawn.toString("base64")}"><figcaption>${escapeHtml(name)}, AP50 ${ap50.toFixed(2)}</figcaption></figure>`,
    );
  }
  return figures.join("");
}

const style = `body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;color:#1b1b1b;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #ddd}
.charts,.gallery,.side{display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start}
.charts figure{margin:0;width:460px;max-width:100%}.gallery figure{margin:0;width:calc(50% - .5rem);min-width:min(340px,100%)}.gallery img{width:100%}
svg text{font:11px system-ui,sans-serif;fill:currentColor}svg .title{font-weight:600;font-size:13px}svg .grid{stroke:#8884;stroke-width:.7}
figcaption span{margin-right:.8em}figcaption i{display:inline-block;width:.8em;height:.8em;margin-right:.3em}
table{border-collapse:collapse}caption{text-align:left;font-weight:600;padding:.3em 0}td,th{border:1px solid #8884;padding:.15em .6em;text-align:right}th{text-align:left;font-weight:500}
.confusion td{text-align:center;min-width:2.5em}pre{overflow:auto;background:#8881;padding:1em}.big{font-size:2rem;font-weight:600}.side>p{margin:0 2rem 0 0}
@media(prefers-color-scheme:dark){body{background:#161616;color:#e6e6e6}}`;

/**
 * Writes report.html: one file that shows a run whole, with no need of a network.
 * @returns its path and the metrics in it
 */
export async function writeReport(
  options: ReportOptions,
): Promise<{ path: string; evaluation: CocoEvaluation }> {
  const { folder, dataset, found, score = 0.3, pictures = 6 } = options;
  const evaluation = evaluateDetections(dataset, found);
  const [truth, results] = [columnsOfTruth(groundTruthOf(dataset)), columnsOfResults(resultsOf(found))];
  const config = join(folder, "config.json");
  const ranked = byQuality(dataset, found);
  const worst = ranked.slice(0, pictures);
  const best = ranked.slice(Math.max(pictures, ranked.length - pictures)).reverse();
  const big = (name: string, value: number): string =>
    `<p><span class="big">${figure(value)}</span><br>${name}</p>`;
  const sizes = evaluation.stats.slice(3, 6) as [number, number, number];
  const html = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Run ${escapeHtml(folder)}</title><style>${style}</style><h1>Run ${escapeHtml(folder)}</h1>
<p>${dataset.images.length} pictures of ${escapeHtml(dataset.name)}</p>
<div class="side">${big("AP", evaluation.ap)}${big("AP50", evaluation.stats[1] as number)}${big("small", sizes[0])}${big("medium", sizes[1])}${big("large", sizes[2])}</div>
<h2>Training</h2><div class="charts">${trainingCharts(readLog(folder))}</div>
<h2>Metrics</h2>${tables(evaluation)}<div class="charts">${precisionRecallChart(evaluation)}</div>
<h2>Errors</h2><div class="side">${errorTable(analyseErrors(truth, results))}${confusionTable(confusionMatrix(truth, results, { score }))}</div>
<h2>Worst pictures</h2><p>Dashed: what is there. Solid: what was found, with its score.</p><div class="gallery">${await gallery(options, worst)}</div>
<h2>Best pictures</h2><div class="gallery">${await gallery(options, best)}</div>
<h2>Configuration</h2><pre>${existsSync(config) ? escapeHtml(readFileSync(config, "utf8")) : ""}</pre></html>`;
  const path = join(folder, "report.html");
  io.writeAtomically(path, (write) => write(Buffer.from(html)));
  return { path, evaluation };
}
