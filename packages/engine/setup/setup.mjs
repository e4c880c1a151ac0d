// Finds libtorch and builds the addon: what `npx sepc setup`, `npx sepc-engine setup` and this repository's own set-up share.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildTools, hasApt, installMissing, systemLibtorch } from "./apt.mjs";
import { buildNative, nodeApiIncludeDirs } from "./build.mjs";
import { findLibtorch, oldestVersion, places } from "./find-libtorch.mjs";
import { run, SetupError, step } from "./report.mjs";

export { defaultCuda } from "./archives.mjs";
export { buildNative } from "./build.mjs";
export { fetchLibtorch } from "./fetch.mjs";
export { fetchFile } from "./fetchFile.mjs";
export { cacheFolder, downloadFolder, findLibtorch } from "./find-libtorch.mjs";
export { withLock } from "./lock.mjs";
export { run, SetupError, say, setQuiet, step } from "./report.mjs";

const engineFolder = join(dirname(fileURLToPath(import.meta.url)), "..");

/** @typedef {import("./find-libtorch.mjs").Libtorch} Libtorch */

/**
 * Installs what building needs; Debian's libtorch too when there is no other.
 * @param {{ libtorch?: boolean }} [options] libtorch: false leaves libtorch out
 */
export async function installSystemPackages(options = {}) {
  await step("system packages", async () => {
    const found = findLibtorch();
    const system = options.libtorch !== false && (found === undefined || found.root === "/usr");
    return installMissing([...buildTools, ...(system && hasApt() ? systemLibtorch : [])]);
  });
}

/**
 * The libtorch to use.
 * @returns {Libtorch}
 * @throws SetupError that names the places looked at and what to run, when there is none
 */
export function requireLibtorch() {
  const found = findLibtorch();
  if (found) return found;
  throw new SetupError(
    [
      `libtorch ${oldestVersion} or newer was not found. Looked for:`,
      ...places.map((place) => `  - ${place}`),
      "Do one of these, then run set-up again:",
      "  - Debian 12 or Ubuntu: sudo apt-get install --no-install-recommends libtorch-dev libopenblas0-pthread",
      "  - any system: npx sepc setup --cpu, or --cuda for NVIDIA     (fetches the official archive)",
      "  - LIBTORCH=/path/to/libtorch             (a folder with include/ and lib/)",
    ].join("\n"),
  );
}

/** The suffix of shared libraries here. */
export const librarySuffix =
  { darwin: "dylib", win32: "dll" }[/** @type {string} */ (process.platform)] ?? "so";

/** A library that does not fit would take this process down with it. @param {string} addon */
async function loadInChild(addon) {
  await run(process.execPath, ["-e", "require(process.argv[1])", addon]);
}

/** @param {Libtorch} libtorch */
export async function buildEngine(libtorch) {
  await step("engine addon", () =>
    buildNative(
      {
        name: "the engine's addon",
        source: engineFolder,
        sources: "native",
        output: join(engineFolder, "build"),
        product: "engine.node",
        check: loadInChild,
        headers: { variable: "NODE_API_INCLUDE_DIRS", folders: nodeApiIncludeDirs(engineFolder) },
      },
      libtorch,
    ),
  );
}

/**
 * An operator library (a CMake project that registers operators with TORCH_LIBRARY), built against the same libtorch.
 * @param {string} folder with native/CMakeLists.txt and build/
 * @param {string} name of the library without prefix and suffix
 * @param {Libtorch} libtorch
 */
export async function buildOperatorLibrary(folder, name, libtorch) {
  const source = join(folder, "native");
  if (!existsSync(join(source, "CMakeLists.txt"))) return;
  const product = `${process.platform === "win32" ? "" : "lib"}${name}.${librarySuffix}`;
  await step(`operator library ${name}`, () =>
    buildNative({ name, source, sources: ".", output: join(folder, "build"), product }, libtorch),
  );
}
