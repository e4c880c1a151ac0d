import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  buildEngine,
  buildOperatorLibrary,
  defaultCuda,
  fetchLibtorch,
  installSystemPackages,
  requireLibtorch,
  SetupError,
} from "@sepc/engine/setup";
import type { Command } from "commander";

const packageRoot = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

interface Options {
  cpu?: boolean;
  /** true when given without a name. */
  cuda?: string | true;
  libtorch?: string;
  dir?: string;
  mirror?: string;
  archive?: string;
  sha256?: string;
  verify: boolean;
}

const examples = `
Without options it uses the libtorch that is there: LIBTORCH, one fetched before, the system's, or a Python package's.
Any of the options fetches an official archive and uses that from then on.

Examples:
  npx sepc setup                             use what is there (on Debian and Ubuntu: install it by apt)
  npx sepc setup --cpu                       fetch libtorch for the CPU (macOS, Windows, other Linux)
  npx sepc setup --cuda                      fetch libtorch for NVIDIA GPUs
  npx sepc setup --archive libtorch-shared-with-deps-2.10.0+cpu.zip
  LIBTORCH=/opt/libtorch npx sepc setup      use this one`;

export function define(command: Command): void {
  command
    .option("--cpu", "fetch libtorch for the CPU")
    .option("--cuda [build]", `fetch libtorch for NVIDIA GPUs, built for this CUDA (default ${defaultCuda})`)
    .option("--libtorch <version>", "fetch this version")
    .option("--dir <folder>", "where to put it (default: the user's cache)")
    .option("--mirror <address>", "fetch from this server, laid out as the official one")
    .option("--archive <file>", "use an archive that was downloaded by other means")
    .option("--sha256 <hex>", "the archive's checksum, if it is not a known one")
    .option("--no-verify", "take an archive whose checksum is not known")
    .addHelpText("after", examples)
    .action(async (options: Options) => {
      const fetched = await fetchIfAsked(options);
      await installSystemPackages({ libtorch: fetched === undefined });
      const libtorch = fetched ?? requireLibtorch();
      process.stderr.write(`  libtorch: ${libtorch.version}, ${libtorch.source}\n`);
      await buildEngine(libtorch);
      await buildOperatorLibrary(packageRoot, "sepc_ops", libtorch);
    });
}

async function fetchIfAsked(options: Options) {
  const { cpu, cuda, libtorch, dir, mirror, archive, sha256, verify } = options;
  if (![cpu, cuda, libtorch, dir, mirror, archive, sha256].some((option) => option !== undefined))
    return undefined;
  if (cpu && cuda) throw new SetupError("--cpu and --cuda: choose one");
  const variant = cuda === true ? defaultCuda : (cuda ?? (cpu ? "cpu" : undefined));
  return fetchLibtorch({ version: libtorch, variant, dir, mirror, archive, sha256, verify });
}
