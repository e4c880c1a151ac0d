// Finds an installed libtorch by looking at files alone: nothing is started, least of all Python.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { isOlder } from "./archives.mjs";
import { SetupError } from "./report.mjs";

/**
 * @typedef {object} Libtorch
 * @property {string} root folder that holds include/ and lib/, or /usr
 * @property {string[]} includeDirs
 * @property {string} libDir
 * @property {string} version "1.13.1"
 * @property {string} source how it was found, for people
 * @property {boolean} cuda whether it is a CUDA build
 * @property {boolean} oldAbi whether it was built with the C++ ABI from before GCC 5, as Python's packages were up to 2.6
 */

/** The oldest libtorch that the engine works with. */
export const oldestVersion = "1.13";

const libraryNames = { linux: "libtorch_cpu.so", darwin: "libtorch_cpu.dylib", win32: "torch_cpu.lib" };
const cudaNames = { linux: "libtorch_cuda.so", darwin: "", win32: "torch_cuda.lib" };

/** Where fetched files are kept between runs. */
export function cacheFolder() {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return process.env.SEPC_CACHE || join(cache, "sepc");
}

/** Where set-up puts the archives it fetches. */
export function downloadFolder() {
  return join(cacheFolder(), "libtorch");
}

const selection = () => join(downloadFolder(), "selected.json");

/** Remembers the libtorch fetched last as the one to use. @param {string} root */
export function select(root) {
  mkdirSync(downloadFolder(), { recursive: true });
  writeFileSync(`${selection()}.new`, JSON.stringify({ root }));
  renameSync(`${selection()}.new`, selection());
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

/** libtorch notes its C++ ABI in its CMake file. @param {string} root */
function hasOldAbi(root) {
  const file = join(root, "share", "cmake", "Torch", "TorchConfig.cmake");
  return existsSync(file) && readFileSync(file, "utf8").includes("_GLIBCXX_USE_CXX11_ABI=0");
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
  if (isOlder(version, oldestVersion)) return undefined;
  const cudaLibrary = cudaNames[platform];
  return {
    root: realpathSync(root),
    includeDirs: [includeDir, join(includeDir, "torch", "csrc", "api", "include")],
    libDir,
    version,
    source,
    cuda: Boolean(cudaLibrary) && existsSync(join(libDir, cudaLibrary)),
    oldAbi: hasOldAbi(root),
  };
}

/**
 * The libtorch in a folder with include/ and lib/, as archives and Python packages have them.
 * @param {string} root @param {string} source
 */
export function libtorchIn(root, source) {
  return describe(root, join(root, "include"), join(root, "lib"), source);
}

function multiarch() {
  /** @type {Record<string, string>} */
  const names = { x64: "x86_64", arm64: "aarch64" };
  const machine = names[process.arch] ?? process.arch;
  return [`/usr/lib/${machine}-linux-gnu`, "/usr/lib64", "/usr/lib"];
}

function inSystem() {
  for (const libDir of multiarch()) {
    const found = describe("/usr", "/usr/include", libDir, "system (libtorch-dev)");
    if (found) return found;
  }
  for (const root of ["/usr/local", "/opt/homebrew", "/usr/local/libtorch", "/opt/libtorch"]) {
    const found = libtorchIn(root, `system (${root})`);
    if (found) return found;
  }
  return undefined;
}

/** Folders of Python installations: virtual environments, pyenv, conda, and whatever has a python on PATH. @returns {string[]} */
function pythonRoots() {
  const roots = [
    process.env.VIRTUAL_ENV ?? "",
    process.env.CONDA_PREFIX ?? "",
    resolve(".venv"),
    resolve("venv"),
  ];
  const pyenv = join(process.env.PYENV_ROOT || join(homedir(), ".pyenv"), "versions");
  if (existsSync(pyenv)) roots.push(...readdirSync(pyenv).map((name) => join(pyenv, name)));
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    // On Windows python.exe lies beside Lib, or in Scripts below it.
    if (existsSync(join(folder, "python.exe"))) roots.push(folder, dirname(folder));
    if (["python3", "python"].some((name) => existsSync(join(folder, name)))) roots.push(dirname(folder));
  }
  roots.push(join(homedir(), ".local"), "/usr/local", "/usr");
  return [...new Set(roots)].filter((root) => root !== "" && existsSync(root));
}

/** The libtorch inside a Python package `torch`, newest Python first; no Python is started. */
export function libtorchInPython() {
  for (const root of pythonRoots()) {
    const libraries = ["lib", "lib64"].flatMap((lib) => pythonsIn(join(root, lib)));
    const packages = [
      ...libraries.flatMap((folder) => [join(folder, "site-packages"), join(folder, "dist-packages")]),
      join(root, "Lib", "site-packages"),
    ];
    for (const folder of packages.map((each) => join(each, "torch"))) {
      const found = existsSync(folder) ? libtorchIn(folder, `Python package (${folder})`) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}

/** @param {string} folder @returns {string[]} its folders python3.11 and the like, newest first */
function pythonsIn(folder) {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /^python3(\.\d+)?$/.test(name));
  return names.sort((a, b) => (isOlder(a, b) ? 1 : -1)).map((name) => join(folder, name));
}

/** What `sepc setup` fetched last. */
function inDownloads() {
  if (!existsSync(selection())) return undefined;
  const { root } = JSON.parse(readFileSync(selection(), "utf8"));
  return libtorchIn(root, `fetched by setup (${root})`);
}

/** The places searched, in order, as the message for people names them. */
export const places = [
  "the variable LIBTORCH",
  "an archive that `sepc setup` fetched",
  "the system: libtorch-dev of Debian and Ubuntu, /usr/local, /opt/libtorch",
  "the torch package of a Python on PATH, in a virtual environment, pyenv or conda",
];

/**
 * The libtorch to use: LIBTORCH, then one fetched on request, then the system's, then one inside a Python package.
 * @returns {Libtorch | undefined}
 * @throws SetupError when LIBTORCH is set and holds none.
 */
export function findLibtorch() {
  const chosen = process.env.LIBTORCH;
  if (chosen) {
    const root = resolve(chosen);
    const found =
      root === "/usr"
        ? inSystem()
        : (libtorchIn(root, "LIBTORCH") ?? libtorchIn(join(root, "libtorch"), "LIBTORCH"));
    if (found) return found;
    throw new SetupError(
      `LIBTORCH is ${root}, but there is no libtorch ${oldestVersion} or newer: expected include/torch/csrc/api/include/torch/version.h and lib/${libraryNames.linux} below it.`,
    );
  }
  return inDownloads() ?? inSystem() ?? libtorchInPython();
}
