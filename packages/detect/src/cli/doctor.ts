import { type Diagnosis, diagnose } from "@sepc/engine/doctor";
import type { Command } from "commander";

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join("\n");
}

function show(diagnosis: Diagnosis): string {
  const { node, platform, libtorch, problems, advice } = diagnosis;
  const rows: [string, string][] = [["Node", `${node}, ${platform}`]];
  if (libtorch) {
    rows.push(
      ["libtorch", `${libtorch.version}, ${libtorch.source}`],
      ["", libtorch.libDir],
      ["addon", libtorch.addon],
    );
  }
  const { machine } = diagnosis;
  if (machine) {
    rows.push(
      ["threads", `${machine.threads} of ${machine.cores} cores`],
      ["CUDA devices", String(machine.cudaDevices)],
      ["BLAS", machine.blas],
      ["matrix product", `${machine.productGflops.toFixed(0)} GFLOP/s (2048 x 2048, float32)`],
      [
        "convolution",
        `${machine.convolutionGflops.toFixed(0)} GFLOP/s (3x3, 256 to 256 channels, 100 x 100)`,
      ],
      [
        "operators",
        machine.missingOperators.length === 0
          ? "all there"
          : `missing: ${machine.missingOperators.join(", ")}`,
      ],
    );
  }
  const notes = [...problems.map((line) => `problem: ${line}`), ...advice.map((line) => `advice: ${line}`)];
  return `${table(rows)}\n\n${notes.length > 0 ? notes.join("\n") : "Nothing to mend."}\n`;
}

export function define(command: Command): void {
  command
    .option("--json", "print the findings as JSON")
    .addHelpText("after", "\nExamples:\n  npx sepc doctor\n  npx sepc doctor --json | jq .machine.blas")
    .action(async (options: { json?: boolean }) => {
      const diagnosis = await diagnose();
      process.stdout.write(options.json ? `${JSON.stringify(diagnosis, null, 2)}\n` : show(diagnosis));
      if (diagnosis.problems.length > 0) process.exitCode = 1;
    });
}
