import { EngineError } from "@sepc/engine";
import type { Command } from "commander";
import { ModelCosts } from "../analysis/modelCosts.js";
import { nearestPresets, preset, presetNames } from "../presets/index.js";
import { reportedAp } from "../presets/reported.js";
import { Progress } from "./progress.js";

const examples = `
Parameters and multiply-adds are those with 80 classes, and of one picture of 800x1344 pixels. AP is that on COCO, as the
paper and its release report it, and as measured here; blank where nobody did.

Examples:
  npx sepc models                          all presets
  npx sepc models sepc-lite_1x             the paper's SEPC-lite, with each detector and backbone
  npx sepc models retinanet_r50            those whose name holds this
  npx sepc models --names                  names alone, at once
  npx sepc models retinanet_r50 --json`;

interface Row {
  readonly name: string;
  readonly parameters: number;
  readonly multiplyAdds: number;
  /** On COCO; null where nobody reports it. */
  readonly paperAp: number | null;
  readonly releaseAp: number | null;
  readonly ourAp: number | null;
}

function rowsOf(names: readonly string[]): Row[] {
  const costs = new ModelCosts([800, 1344]);
  const progress = new Progress({ total: names.length, unit: "presets", label: "counting" });
  const rows = names.map((name) => {
    const { paper = null, release = null, here = null } = reportedAp[name] ?? {};
    const row = { name, ...costs.of(preset(name).model), paperAp: paper, releaseAp: release, ourAp: here };
    progress.advance();
    return row;
  });
  progress.finish();
  return rows;
}

export function define(command: Command): void {
  command
    .description(
      "list presets, with their parameters, multiply-adds, and AP on COCO as the paper and its release report it",
    )
    .argument("[part]", "part of a name")
    .option("--names", "print names alone", false)
    .option("--json", "print JSON", false)
    .addHelpText("after", examples)
    .action((part: string | undefined, options: { json: boolean; names: boolean }) => {
      const listed = presetNames.filter((name) => name.includes(part ?? ""));
      if (part !== undefined && listed.length === 0)
        throw new EngineError(
          "BAD_ARGUMENT",
          `no preset's name holds "${part}"; nearest: ${nearestPresets(part).join(", ")}`,
        );
      const print = (value: unknown, text: string): void =>
        void process.stdout.write(options.json ? `${JSON.stringify(value)}\n` : text);
      if (options.names) print(listed, `${listed.join("\n")}\n`);
      else {
        const rows = rowsOf(listed);
        print(rows, asTable(rows));
      }
    });
}

function asTable(rows: readonly Row[]): string {
  const width = Math.max(6, ...rows.map(({ name }) => name.length));
  const line = (cells: readonly string[]): string =>
    `${(cells[0] as string).padEnd(width)}  ${cells
      .slice(1)
      .map((cell) => cell.padStart(13))
      .join("")}\n`;
  const head = line(["preset", "M params", "G mult-adds", "paper's AP", "release's AP", "AP here"]);
  const figure = (ap: number | null): string => (ap === null ? "" : ap.toFixed(1));
  const body = rows.map(({ name, parameters, multiplyAdds, paperAp, releaseAp, ourAp }) =>
    line([
      name,
      (parameters / 1e6).toFixed(1),
      (multiplyAdds / 1e9).toFixed(1),
      figure(paperAp),
      figure(releaseAp),
      figure(ourAp),
    ]),
  );
  return head + body.join("");
}
