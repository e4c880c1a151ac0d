#!/usr/bin/env node
// `npx sepc-engine setup`: the engine alone, for projects that use it without sepc.
import { buildEngine, installSystemPackages, requireLibtorch, SetupError } from "./setup.mjs";

async function main() {
  const [verb] = process.argv.slice(2);
  if (verb !== "setup") {
    process.stdout.write("usage: sepc-engine setup    finds libtorch and builds the addon\n");
    process.exitCode = verb === undefined || verb === "--help" ? 0 : 2;
    return;
  }
  await installSystemPackages();
  await buildEngine(requireLibtorch());
}

main().catch((error) => {
  process.stderr.write(`${error instanceof SetupError ? error.message : error.stack}\n`);
  process.exitCode = 1;
});
