// Finds an installed libtorch by looking at files alone: nothing is started, least of all Python.
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";

/**
 * @typedef {object} Libtorch
 * @property {string} root folder that holds include/ and lib/, or /usr
 * @property {string[]} includeDirs
 * @property {string} libDir
 * @property {string} version "1.13.1"
 * @property {string} source how it was found, for people
 * @property {boolean} cuda whether it is a CUDA build
 */

const libraryNames = { linux: "libtorch_cpu.so", darwin: "libtorch_cpu.dylib", win32: "torch_cpu.lib" };
const cudaNames = { linux: "libtorch_cuda.so", darwin: "", win32: "torch_cuda.lib" };

/** Where set-up puts the archives it fetches. */
export function downloadFolder() {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(process.env.SEPC_CACHE || join(cache, "sepc"), "libtorch");
}

/** @param {string} includeDir @returns {string | undefined} */
function versionIn(includeDir) {
  for (const path of ["torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"]) {
    const file = join(includeDir, path);
    if (!existsSync(file)) continue;
    const text = readFileSync(file, "utf8");
    const parts = ["MAJOR", "MINOR", "PATCH"].map(
      (part) => new RegExp(`TORCH_VERSION_${part} (\\d+)`).exec(text)?.[1],
    );
    if (parts.every((part) => part !== undefined)) return parts.join(".");
  }
  return undefined;
}

/**
 * @param {string} root @param {string} includeDir @param {string} libDir @param {string} source
 * @returns {Libtorch | undefined}
 */
function describe(root, includeDir, libDir, source) {
  const platform = /** @type {keyof typeof libraryNames} */ (process.platform);
  const version = versionIn(includeDir);
  if (version === undefined || !existsSync(join(libDir, libraryNames[platform] ?? libraryNames.linux)))
    return undefined;
  const cudaLibrary = cudaNames[platform];
  return {
    root: realpathSync(root),
    includeDirs: [includeDir, join(includeDir, "torch", "csrc", "api", "include")],
    libDir,
    version,
    source,
    cuda: Boolean(cudaLibrary) && existsSync(join(libDir, cudaLibrary)),
  };
}

/** @param {string} root @param {string} source */
function inFolder(root, source) {
  return describe(root, join(root, "include"), join(root, "lib"), source);
}

function multiarch() {
  const machine = { x64: "x86_64", arm64: "aarch64", arm: "arm" }[process.arch] ?? process.arch;
  return [`/usr/lib/${machine}-linux-gnu`, "/usr/lib64", "/usr/lib"];
}

function inSystem() {
  for (const libDir of multiarch()) {
    const found = describe("/usr", "/usr/include", libDir, "system (libtorch-dev)");
    if (found) return found;
  }
  for (const root of ["/usr/local", "/opt/homebrew", "/usr/local/libtorch", "/opt/libtorch"]) {
    const found = inFolder(root, `system (${root})`);
    if (found) return found;
  }
  return undefined;
}

/** Folders of Python installations: virtual environments, pyenv, conda, and whatever has a python on PATH. */
function pythonRoots() {
  const roots = [process.env.VIRTUAL_ENV, process.env.CONDA_PREFIX];
  const pyenv = join(process.env.PYENV_ROOT || join(homedir(), ".pyenv"), "versions");
  if (existsSync(pyenv)) roots.push(...readdirSync(pyenv).map((name) => join(pyenv, name)));
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    if (["python3", "python", "python.exe"].some((name) => existsSync(join(folder, name))))
      roots.push(dirname(folder));
  }
  roots.push(join(homedir(), ".local"), "/usr/local", "/usr");
  return [...new Set(roots.filter((root) => typeof root === "string" && existsSync(root)))];
}

function inPython() {
  for (const root of pythonRoots()) {
    const packages = [
      ...listVersions(join(root, "lib")).map((name) => join(root, "lib", name, "site-packages", "torch")),
      ...listVersions(join(root, "lib")).map((name) => join(root, "lib", name, "dist-packages", "torch")),
      join(root, "Lib", "site-packages", "torch"),
    ];
    for (const folder of packages) {
      const found = existsSync(folder) ? inFolder(folder, `Python package (${folder})`) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}

/** @param {string} folder */
function listVersions(folder) {
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith("python3")) : [];
}

function inDownloads() {
  const folder = downloadFolder();
  if (!existsSync(folder)) return undefined;
  const newestFirst = readdirSync(folder).sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  for (const name of newestFirst) {
    const found = inFolder(join(folder, name, "libtorch"), `fetched by setup (${name})`);
    if (found) return found;
  }
  return undefined;
}

/** The places searched, in order, as the message for people names them. */
export const places = [
  "the variable LIBTORCH",
  "libtorch archives in sepc's cache folder",
  "the system: libtorch-dev of Debian and Ubuntu, /usr/local, /opt/libtorch",
  "the torch package of a Python on PATH, in a virtual environment, pyenv or conda",
];

/**
 * The libtorch to use: LIBTORCH, then one fetched on request, then the system's, then one inside a Python package.
 * @returns {Libtorch | undefined}
 * @throws Error when LIBTORCH is set and holds none.
 */
export function findLibtorch() {
  const chosen = process.env.LIBTORCH;
  if (chosen) {
    const root = resolve(chosen);
    const found =
      root === "/usr"
        ? inSystem()
        : (inFolder(root, "LIBTORCH") ?? inFolder(join(root, "libtorch"), "LIBTORCH"));
    if (found) return found;
    throw new Error(
      `LIBTORCH is ${root}, but there is no libtorch: expected include/torch/csrc/api/include/torch/version.h and lib/${libraryNames.linux} below it.`,
    );
  }
  return inDownloads() ?? inSystem() ?? inPython();
}
