// `npm run demo`: set-up, then the example examples/shapes.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root, run, runMain, setup } from "./setup.mjs";

runMain(async () => {
  await setup();
  await run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-b", "examples"], {
    cwd: root,
  });
  const main = join(root, "examples", "dist", "shapes", "main.js");
  const child = spawn(process.execPath, [main, ...process.argv.slice(2)], { stdio: "inherit" });
  process.exitCode = await new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
});
