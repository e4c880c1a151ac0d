import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  buildEngine,
  buildOperatorLibrary,
  installSystemPackages,
  requireLibtorch,
} from "@sepc/engine/setup";
import type { Command } from "commander";

const packageRoot = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

export function define(command: Command): void {
  command
    .addHelpText("after", "\nExamples:\n  npx sepc setup\n  LIBTORCH=/opt/libtorch npx sepc setup")
    .action(async () => {
      await installSystemPackages();
      const libtorch = requireLibtorch();
      await buildEngine(libtorch);
      await buildOperatorLibrary(packageRoot, "sepc_ops", libtorch);
    });
}
