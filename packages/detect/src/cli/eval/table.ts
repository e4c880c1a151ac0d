import type { CocoEvaluation, Confusion, TideErrors, VocEvaluation } from "@sepc/core/eval";
import type { Figures, Timings } from "./figures.js";

const figure = (value: number): string => (value < 0 ? "-" : value.toFixed(3));

/** Rows under a header; the first column is text, the others numbers. */
export function columns(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `  ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ")}`;
  return `${[line(header), ...rows.map(line)].join("\n")}\n`;
}

function summary({ stats, ap, params }: CocoEvaluation): string {
  const { maxDets, type } = params;
  const names = [
    "AP",
    "AP50",
    "AP75",
    ...[0, 1, 2].map((i) => (maxDets[i] === undefined ? null : `AR at ${maxDets[i]}`)),
  ];
  const values = [ap, stats[1], stats[2], stats[6], stats[7], stats[8]] as number[];
  const rows = names.flatMap((name, i) => (name === null ? [] : [[name, figure(values[i] as number)]]));
  return columns([type === "segm" ? "masks" : "boxes", "value"], rows);
}

const bySize = ({ sizes }: CocoEvaluation): string =>
  columns(
    ["size", "AP", "AR", "objects"],
    sizes.map(({ name, ap, ar, objects }) => [name, figure(ap), figure(ar), String(objects)]),
  );

function byClass({ classes }: CocoEvaluation): string {
  const known = classes.filter(({ ap }) => ap >= 0).sort((a, b) => b.ap - a.ap);
  const others = classes.filter(({ ap, detections }) => ap < 0 && detections > 0);
  const rows = [...known, ...others].map((own) => [
    own.name,
    ...[own.ap, own.ap50, own.ap75, own.ar, ...own.sizes.slice(1).map(({ ap }) => ap)].map(figure),
    String(own.objects),
    String(own.detections),
  ]);
  const sizes = (classes[0]?.sizes ?? []).slice(1).map(({ name }) => `AP ${name}`);
  return rows.length === 0
    ? ""
    : columns(["class", "AP", "AP50", "AP75", "AR", ...sizes, "objects", "found"], rows);
}

const vocTable = ({ ap, ap11, classes }: VocEvaluation): string =>
  columns(
    ["VOC", "AP", "AP (11 points)", "right", "wrong", "objects"],
    [
      ...classes.map((own) => [
        own.name,
        figure(own.ap),
        figure(own.ap11),
        ...[own.truePositives, own.falsePositives, own.objects].map(String),
      ]),
      ["mean", figure(ap), figure(ap11), "", "", ""],
    ],
  );

function errorTable({ ap, foreground, errors, special }: TideErrors): string {
  const row = (name: string, { count, dAP }: { readonly count: number; readonly dAP: number }): string[] => [
    name,
    String(count),
    dAP.toFixed(4),
  ];
  return columns(
    ["error (TIDE)", "count", "dAP"],
    [
      ...Object.entries(errors).map(([name, own]) => row(name, own)),
      row("all that is wrong", special.falsePositive),
      row("all that is missed", special.falseNegative),
      [`AP at ${foreground}`, "", ap.toFixed(4)],
    ],
  );
}

/** The largest confusions where there are too many classes for a matrix. */
function confusionTable({ names, matrix, score, iou }: Confusion): string {
  const title = `true class (score ${score}, IoU ${iou})`;
  if (names.length <= 12)
    return columns(
      [title, ...names],
      matrix.map((row, i) => [names[i] as string, ...row.map(String)]),
    );
  const pairs = matrix.flatMap((row, i) => row.map((count, j) => ({ i, j, count })));
  const worst = pairs
    .filter(({ i, j, count }) => i !== j && count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, 20);
  return columns(
    [title, "found as", "count"],
    worst.map(({ i, j, count }) => [names[i] as string, names[j] as string, String(count)]),
  );
}

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

function footer({ counts }: CocoEvaluation, { read, evaluate }: Timings): string {
  const { images, objects, crowds, detections, unknownClass } = counts;
  const lines = [
    `  ${plural(images, "image")}, ${plural(objects, "object")}${crowds > 0 ? ` and ${plural(crowds, "crowd")}` : ""}, ` +
      `${plural(detections, "detection")}; read in ${read.toFixed(2)} s, measured in ${evaluate.toFixed(2)} s`,
  ];
  if (unknownClass > 0)
    lines.push(`  left out: ${plural(unknownClass, "result")} of classes that the annotations do not know`);
  return `${lines.join("\n")}\n`;
}

/** Figures for people. */
export function asTable({ coco, voc, errors, confusion }: Figures, timings: Timings): string {
  const parts = [
    summary(coco),
    bySize(coco),
    byClass(coco),
    voc && vocTable(voc),
    errors && errorTable(errors),
    confusion && confusionTable(confusion),
    footer(coco, timings),
  ];
  return parts.filter((part) => part !== undefined && part !== "").join("\n");
}
