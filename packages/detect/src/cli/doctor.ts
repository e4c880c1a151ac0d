import { type Diagnosis, diagnose, type Machine } from "@sepc/engine/doctor";
import type { Command } from "commander";

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join("\n");
}

/** Casts and what stays in float32 take a part of what bfloat16 saves. */
const clearlyFaster = 1.5;

/** What the rates say about how to train here. */
export function trainingAdvice({ convolutionGflops, bfloat16ConvolutionGflops }: Machine): string[] {
  const ratio = bfloat16ConvolutionGflops / convolutionGflops;
  if (!(ratio > clearlyFaster)) return [];
  return [
    `convolutions run ${ratio.toFixed(1)} times as fast in bfloat16 here: train with --set schedule.precision=bfloat16`,
  ];
}

/** The engine's diagnosis, with advice for those who train detectors. */
async function examine(): Promise<Diagnosis> {
  const diagnosis = await diagnose();
  const { machine, advice } = diagnosis;
  return machine === null ? diagnosis : { ...diagnosis, advice: [...advice, ...trainingAdvice(machine)] };
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
        `${machine.convolutionGflops.toFixed(0)} GFLOP/s (3x3, 256 to 256 channels, 100 x 100, float32)`,
      ],
      ["", `${machine.bfloat16ConvolutionGflops.toFixed(0)} GFLOP/s (the same in bfloat16)`],
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
      const diagnosis = await examine();
      process.stdout.write(options.json ? `${JSON.stringify(diagnosis, null, 2)}\n` : show(diagnosis));
      if (diagnosis.problems.length > 0) process.exitCode = 1;
    });
}
