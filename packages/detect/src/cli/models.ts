import { EngineError, scope } from "@sepc/engine";
import type { Command } from "commander";
import { countFlops } from "../analysis/flops.js";
import { nearestPresets, preset, presetNames } from "../presets/index.js";
import { reportedAp } from "../presets/reported.js";

const examples = `
Examples:
  npx sepc models                          names of all presets
  npx sepc models sepc-lite_1x             the paper's SEPC-lite, with each detector and backbone
  npx sepc models retinanet_r50            those whose name holds this, with their cost at 800x1344 pixels
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

function rowOf(name: string): Row {
  const { parameters, multiplyAdds } = scope(() => countFlops(preset(name).model, { size: [800, 1344] }));
  const { paper = null, release = null, here = null } = reportedAp[name] ?? {};
  return { name, parameters, multiplyAdds, paperAp: paper, releaseAp: release, ourAp: here };
}

export function define(command: Command): void {
  command
    .description(
      "list presets, with their parameters, multiply-adds, and AP on COCO as the paper and its release report it",
    )
    .argument("[part]", "part of a name: then with costs")
    .option("--json", "print JSON", false)
    .addHelpText("after", examples)
    .action((part: string | undefined, { json }: { json: boolean }) => {
      const names = presetNames.filter((name) => name.includes(part ?? ""));
      if (part === undefined) {
        process.stdout.write(json ? `${JSON.stringify(names)}\n` : `${names.join("\n")}\n`);
        if (!json)
          process.stderr.write(
            `${names.length} presets; npx sepc models PART adds parameters, multiply-adds and AP (retinanet_r50, sepc_2x ...)\n`,
          );
        return;
      }
      if (names.length === 0)
        throw new EngineError(
          "BAD_ARGUMENT",
          `no preset's name holds "${part}"; nearest: ${nearestPresets(part).join(", ")}`,
        );
      const rows = names.map(rowOf);
      process.stdout.write(json ? `${JSON.stringify(rows)}\n` : asTable(rows));
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
