#!/usr/bin/env node
// Set-up must work before anything is compiled or built; every other verb is in dist.
const { existsSync } = await import("node:fs");
const main = new URL("../dist/cli/main.js", import.meta.url);
if (!existsSync(main)) {
  process.stderr.write(
    "sepc is not built: in a checkout of the repository run `node scripts/setup.mjs` first\n",
  );
  process.exit(1);
}
const { run } = await import(main.href);
process.exitCode = await run(process.argv.slice(2));
