// Makes a fresh checkout ready: system packages, npm packages, libtorch, native code, TypeScript. Plain Node, quick when nothing is missing.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  buildEngine,
  buildOperatorLibrary,
  installSystemPackages,
  requireLibtorch,
  run,
  SetupError,
  say,
  setQuiet,
  step,
  withLock,
} from "../packages/engine/setup/setup.mjs";

export { run, SetupError, say, step };

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");
async function installNpmPackages() {
  const mark = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .update(process.version)
    .digest("hex");
  const stamp = join(root, "node_modules", ".sepc-stamp");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === mark) return undefined;
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: root });
  writeFileSync(stamp, mark);
  return "installed";
}

/** @param {string[]} packages folders below packages/ */
async function compileTypeScript(packages) {
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  await run(process.execPath, [compiler, "-b", ...packages.map((name) => `packages/${name}`)], { cwd: root });
  return undefined;
}

/** @param {{ quiet?: boolean }} [options] */
export async function setup(options = {}) {
  setQuiet(options.quiet ?? false);
  await withLock(join(root, ".setup-lock"), async () => {
    await installSystemPackages();
    await step("npm packages", installNpmPackages);
    const libtorch = requireLibtorch();
    if (!options.quiet) say(`  libtorch: ${libtorch.version}, ${libtorch.source}`);
    await buildEngine(libtorch);
    await buildOperatorLibrary(join(root, "packages", "detect"), "sepc_ops", libtorch);
    await step("TypeScript", () => compileTypeScript(["core", "engine", "detect"]));
  });
}

/** What the browser app needs: npm packages and the browser-safe code; no libtorch. */
export async function setupWeb() {
  await withLock(join(root, ".setup-lock"), async () => {
    await step("npm packages", installNpmPackages);
    await step("TypeScript", () => compileTypeScript(["core"]));
  });
}

/** Runs a script's main function: a failure that a person can mend is shown without a stack. @param {() => Promise<void>} main */
export function runMain(main) {
  main().catch((error) => {
    say(error instanceof SetupError ? `\n${error.message}` : (error.stack ?? String(error)));
    process.exitCode = 1;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  runMain(() => setup({ quiet: process.argv.includes("--quiet") }));
}
