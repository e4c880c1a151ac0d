// `npm run golden -- DIR`: sets up quietly, then replays the golden cases of a folder.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root, runMain, setup } from "./setup.mjs";

runMain(async () => {
  await setup({ quiet: true });
  const main = join(root, "packages", "detect", "dist", "golden", "main.js");
  const child = spawn(process.execPath, [main, ...process.argv.slice(2)], { stdio: "inherit" });
  process.exitCode = await new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
});
