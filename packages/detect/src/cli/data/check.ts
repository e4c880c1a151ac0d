import { checkDatasets, type Finding } from "../../data/checkDataset.js";
import type { DatasetProblem } from "../../data/datasets/problem.js";
import type { DatasetFormat } from "../../data/open.js";
import { openSplits } from "../../data/splits.js";
import { Progress } from "../progress.js";

/** What all commands on an existing data set take. */
export interface SourceArguments {
  readonly split?: string;
  readonly images?: string;
  readonly format?: DatasetFormat;
}

const shown = 5;

const counted = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

/** `sepc data check`; 1 when there are errors. */
export async function checkData(
  path: string,
  { json, workers, ...source }: SourceArguments & { readonly json: boolean; readonly workers?: number },
): Promise<number> {
  const problems = new Map<string, DatasetProblem>();
  // Splits may share files, whose problems are then told more than once.
  const onProblem = (problem: DatasetProblem): void =>
    void problems.set(`${problem.file}\n${problem.where}\n${problem.detail}`, problem);
  const splits = await openSplits(path, { ...source, onProblem });
  const total = splits.reduce((sum, { dataset }) => sum + dataset.images.length, 0);
  const bar = new Progress({ total, unit: "images", label: "checking" });
  const findings = await checkDatasets(splits, {
    workers,
    problems: [...problems.values()],
    onImage: () => bar.advance(),
  });
  bar.finish();
  const errors = findings.filter(({ severity }) => severity === "error").length;
  if (json) {
    const counts = Object.fromEntries(splits.map(({ split, dataset }) => [split, dataset.images.length]));
    const warnings = findings.length - errors;
    process.stdout.write(
      `${JSON.stringify({ images: total, splits: counts, errors, warnings, findings })}\n`,
    );
  } else process.stdout.write(asText(findings, total));
  return errors > 0 ? 1 : 0;
}

function asText(findings: readonly Finding[], total: number): string {
  const kinds = new Map<string, Finding[]>();
  for (const finding of findings) {
    const key = `${finding.severity}: ${finding.kind}`;
    const own = kinds.get(key);
    if (own === undefined) kinds.set(key, [finding]);
    else own.push(finding);
  }
  const blocks = [...kinds]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([key, own]) => {
      const lines = own.slice(0, shown).map(({ file, detail }) => `  ${file}: ${detail}`);
      if (own.length > shown) lines.push(`  and ${own.length - shown} more (--json lists all)`);
      return `${key} (${own.length})\n${lines.join("\n")}`;
    });
  const errors = findings.filter(({ severity }) => severity === "error").length;
  return `${[...blocks, `${counted(total, "image")}: ${counted(errors, "error")}, ${counted(findings.length - errors, "warning")}`].join("\n\n")}\n`;
}
