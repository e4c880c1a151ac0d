// Builds native code against a libtorch with CMake, once for each state of sources and libtorch.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join, relative } from "node:path";
import { run, SetupError } from "./report.mjs";

/** @typedef {import("./find-libtorch.mjs").Libtorch} Libtorch */

/**
 * @typedef {object} NativeTarget
 * @property {string} name of the CMake target, for people
 * @property {string} source folder with CMakeLists.txt
 * @property {string} sources folder below it that holds the code
 * @property {string} output folder for builds, with current.json
 * @property {string} product file name that the build makes
 * @property {{ variable: string, folders: string[] }} [headers] folders of headers, and CMake's variable for them
 * @property {(product: string) => Promise<void>} [check] throws when the product is of no use
 */

/** @param {string} folder @returns {string[]} */
function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/**
 * Of sources and libtorch, not of the place: a folder that was moved or copied needs no new build.
 * @param {NativeTarget} target @param {Libtorch} libtorch
 */
function fingerprint(target, libtorch) {
  const { root, includeDirs, libDir, version, oldAbi } = libtorch;
  /** @param {string} path */
  const placed = (path) => relative(target.source, path);
  const hash = createHash("sha256").update(
    JSON.stringify([root, includeDirs, libDir, version, oldAbi, target.headers?.folders.map(placed)]),
  );
  const code = [
    ...filesBelow(join(target.source, target.sources)),
    join(target.source, "CMakeLists.txt"),
  ].sort();
  for (const file of code) hash.update(placed(file)).update(readFileSync(file));
  // A libtorch that was upgraded in place keeps its path.
  for (const name of readdirSync(libDir).filter((file) => /^(lib)?torch_cpu\./.test(file))) {
    const { size, mtimeMs } = statSync(join(libDir, name));
    hash.update(`${name} ${size} ${mtimeMs}`);
  }
  return hash.digest("hex");
}

/** @param {string} path @param {string} text */
function writeWhole(path, text) {
  writeFileSync(`${path}.part`, text);
  renameSync(`${path}.part`, path);
}

/** Folders of the Node-API headers, from npm packages. @param {string} from folder whose dependencies they are */
export function nodeApiIncludeDirs(from) {
  const require = createRequire(join(from, "package.json"));
  return [
    dirname(require.resolve("node-addon-api/package.json")),
    join(dirname(require.resolve("node-api-headers/package.json")), "include"),
  ];
}

/**
 * Builds the target unless an earlier build still fits. `current.json` in the output folder is written last.
 * @param {NativeTarget} target @param {Libtorch} libtorch
 * @returns {Promise<string | undefined>} what was built
 */
export async function buildNative(target, libtorch) {
  const mark = fingerprint(target, libtorch);
  const key = `${libtorch.version}-${createHash("sha256").update(libtorch.root).digest("hex").slice(0, 8)}`;
  const folder = join(target.output, key);
  const product = join(folder, target.product);
  const record = join(target.output, "current.json");
  const text = `${JSON.stringify({ addon: product, libtorch, fingerprint: mark }, null, 2)}\n`;
  const stamp = join(folder, "fingerprint");
  const fits = existsSync(product) && existsSync(stamp) && readFileSync(stamp, "utf8") === mark;
  if (fits && existsSync(record) && readFileSync(record, "utf8") === text) return undefined;
  if (!fits) {
    rmSync(stamp, { force: true });
    await compile(target, libtorch, folder);
    if (!existsSync(product)) throw new SetupError(`the build of ${target.name} made no ${product}`);
    await target.check?.(product);
    writeWhole(stamp, mark);
  }
  mkdirSync(target.output, { recursive: true });
  writeWhole(record, text);
  return fits ? `using the build for libtorch ${libtorch.version}` : `built for libtorch ${libtorch.version}`;
}

/** CMake refuses its own cache in a folder that was moved. @param {string} source @param {string} cmakeFolder */
function forgetMoved(source, cmakeFolder) {
  const cache = join(cmakeFolder, "CMakeCache.txt");
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, "utf8"))?.[1];
  if (home === undefined || relative(source, home) !== "") rmSync(cmakeFolder, { recursive: true });
}

/** @param {NativeTarget} target @param {Libtorch} libtorch @param {string} folder */
async function compile(target, libtorch, folder) {
  const cmakeFolder = join(folder, "cmake");
  forgetMoved(target.source, cmakeFolder);
  await run("cmake", [
    ...["-S", target.source, "-B", cmakeFolder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"],
    `-DLIBTORCH_INCLUDE_DIRS=${libtorch.includeDirs.join(";")}`,
    `-DLIBTORCH_LIB_DIR=${libtorch.libDir}`,
    `-DLIBTORCH_VERSION=${libtorch.version}`,
    `-DADDON_OUTPUT_DIR=${folder}`,
    `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${folder}`,
    `-DCMAKE_RUNTIME_OUTPUT_DIRECTORY=${folder}`,
    ...(libtorch.oldAbi ? ["-DCMAKE_CXX_FLAGS=-D_GLIBCXX_USE_CXX11_ABI=0"] : []),
    ...(target.headers ? [`-D${target.headers.variable}=${target.headers.folders.join(";")}`] : []),
  ]);
  // libtorch's headers take about 1.5 GB a compiler.
  const jobs = Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / 2 ** 31)));
  await run("cmake", ["--build", cmakeFolder, "--parallel", String(jobs)]);
}
