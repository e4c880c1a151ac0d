#!/usr/bin/env node
// `npx @sepc/engine setup`: the engine alone, for projects that use it without sepc.
import { parseArgs } from "node:util";
import {
  buildEngine,
  defaultCuda,
  fetchLibtorch,
  installSystemPackages,
  requireLibtorch,
  SetupError,
} from "./setup.mjs";

const usage = `usage: sepc-engine setup [--cpu | --cuda] [--libtorch VERSION]
  finds libtorch and builds the addon; with an option, fetches an official archive of libtorch and uses that
`;

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        cpu: { type: "boolean" },
        cuda: { type: "boolean" },
        libtorch: { type: "string" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new SetupError(`${/** @type {Error} */ (error).message}\n${usage}`);
  }
}

async function main() {
  const { values, positionals } = parse();
  if (values.help || positionals.length !== 1 || positionals[0] !== "setup") {
    process.stdout.write(usage);
    process.exitCode = values.help || positionals.length === 0 ? 0 : 2;
    return;
  }
  const { cpu, cuda, libtorch: version } = values;
  const asked = cpu || cuda || version !== undefined;
  const fetched = asked ? await fetchLibtorch({ version, variant: cuda ? defaultCuda : "cpu" }) : undefined;
  await installSystemPackages({ libtorch: fetched === undefined });
  await buildEngine(fetched ?? requireLibtorch());
}

main().catch((error) => {
  process.stderr.write(`${error instanceof SetupError ? error.message : error.stack}\n`);
  process.exitCode = 1;
});
