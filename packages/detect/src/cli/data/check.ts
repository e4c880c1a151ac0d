import { checkDatasets, type Finding } from "../../data/checkDataset.js";
import { openSplits } from "../../data/splits.js";
import { Progress } from "../progress.js";

const shown = 5;

/** `sepc data check`; 1 when there are errors. */
export async function checkData(
  path: string,
  { split, json }: { split?: string; json: boolean },
): Promise<number> {
  const datasets = await openSplits(path, split);
  const total = datasets.reduce((sum, { images }) => sum + images.length, 0);
  const bar = new Progress({ total, unit: "images", label: "checking" });
  const findings = await checkDatasets(datasets, () => bar.advance());
  bar.finish();
  const errors = findings.filter(({ severity }) => severity === "error").length;
  if (json) process.stdout.write(`${JSON.stringify({ images: total, errors, findings })}\n`);
  else process.stdout.write(asText(findings, total));
  return errors > 0 ? 1 : 0;
}

function asText(findings: readonly Finding[], total: number): string {
  const kinds = new Map<string, Finding[]>();
  for (const finding of findings) {
    const key = `${finding.severity}: ${finding.kind}`;
    kinds.set(key, [...(kinds.get(key) ?? []), finding]);
  }
  const blocks = [...kinds]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([key, own]) => {
      const lines = own.slice(0, shown).map(({ file, detail }) => `  ${file}: ${detail}`);
      if (own.length > shown) lines.push(`  and ${own.length - shown} more (--json lists all)`);
      return `${key} (${own.length})\n${lines.join("\n")}`;
    });
  const errors = findings.filter(({ severity }) => severity === "error").length;
  return `${[...blocks, `${total} images: ${errors} errors, ${findings.length - errors} warnings`].join("\n\n")}\n`;
}
