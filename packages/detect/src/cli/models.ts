import type { Command } from "commander";
import { countFlops } from "../analysis/flops.js";
import { preset, presetNames } from "../presets/index.js";

/** What the paper's Figure 1 gives for ResNet-50, 1x, COCO minival, to about 0.03; read from the picture. */
const paperAp: Readonly<Record<string, number>> = {
  retinanet_r50_fpn_1x: 35.7,
  "retinanet_r50_sepc-lite_1x": 38.8,
  fcos_r50_fpn_1x: 35.7,
  "fcos_r50_sepc-lite_1x": 38.3,
  fsaf_r50_fpn_1x: 36.9,
  "fsaf_r50_sepc-lite_1x": 40.7,
  freeanchor_r50_fpn_1x: 38.5,
  "freeanchor_r50_sepc-lite_1x": 41.7,
  reppoints_r50_fpn_1x: 38.2,
  "reppoints_r50_sepc-lite_1x": 40.3,
};

const examples = `
Examples:
  npx sepc models                          names of all presets
  npx sepc models retinanet_r50            those whose name holds this, with their cost at 800x1344 pixels
  npx sepc models retinanet_r50 --json`;

interface Row {
  readonly name: string;
  readonly parameters: number;
  readonly multiplyAdds: number;
  /** The paper's, not ours. */
  readonly paperAp: number | null;
}

function rowOf(name: string): Row {
  const { parameters, multiplyAdds } = countFlops(preset(name).model, { size: [800, 1344] });
  return { name, parameters, multiplyAdds, paperAp: paperAp[name] ?? null };
}

export function define(command: Command): void {
  command
    .description("list presets, with their parameters, multiply-adds and the paper's AP")
    .argument("[part]", "part of a name: then with costs")
    .option("--json", "print JSON", false)
    .addHelpText("after", examples)
    .action((part: string | undefined, { json }: { json: boolean }) => {
      const names = presetNames.filter((name) => name.includes(part ?? ""));
      if (part === undefined) {
        process.stdout.write(json ? `${JSON.stringify(names)}\n` : `${names.join("\n")}\n`);
        return;
      }
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
  const head = line(["preset", "M params", "G mult-adds", "paper's AP"]);
  const body = rows.map(({ name, parameters, multiplyAdds, paperAp: ap }) =>
    line([
      name,
      (parameters / 1e6).toFixed(1),
      (multiplyAdds / 1e9).toFixed(1),
      ap === null ? "" : ap.toFixed(1),
    ]),
  );
  return head + body.join("");
}
