// `npm run bench -- engine`: sets up, compiles the benchmarks and runs the named one. Without a name it lists them.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { root, run, runMain, SetupError, setup } from "./setup.mjs";

const helpers = new Set(["timer", "peer", "product", "serveClients"]);
const names = readdirSync(join(root, "bench"))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -3))
  .filter((name) => !helpers.has(name));

runMain(async () => {
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined || !names.includes(name)) {
    throw new SetupError(`usage: npm run bench -- NAME [options], where NAME is one of: ${names.join(", ")}`);
  }
  await setup({ quiet: true });
  await run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-b", "bench"], {
    cwd: root,
  });
  const child = spawn(process.execPath, [join(root, "bench", "dist", `${name}.js`), ...args], {
    stdio: "inherit",
  });
  await new Promise((resolve) =>
    child.on("close", (code) => {
      process.exitCode = code ?? 1;
      resolve(undefined);
    }),
  );
});
