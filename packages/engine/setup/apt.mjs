// What the addon needs from Debian or Ubuntu, and getting it as root or through sudo.
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run, SetupError } from "./report.mjs";

/** @param {string} name */
export function onPath(name) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** @param {string} name of a shared library as the loader asks for it */
function systemLibrary(name) {
  return [`/usr/lib/x86_64-linux-gnu/${name}`, `/usr/lib/aarch64-linux-gnu/${name}`].some((path) =>
    existsSync(path),
  );
}

/**
 * @typedef {object} Need
 * @property {string} what for people
 * @property {string[]} packages of apt
 * @property {() => boolean} present
 */

/** Needed to build the addon against any libtorch. @type {Need[]} */
export const buildTools = [
  {
    what: "a C++ compiler",
    packages: ["g++"],
    present: () => onPath("c++") || onPath("g++") || onPath("clang++"),
  },
  { what: "CMake", packages: ["cmake"], present: () => onPath("cmake") },
  { what: "Ninja", packages: ["ninja-build"], present: () => onPath("ninja") },
];

/** Needed when libtorch is the system's. @type {Need[]} */
export const systemLibtorch = [
  {
    what: "libtorch with its headers",
    packages: ["libtorch-dev"],
    present: () => existsSync("/usr/include/torch/csrc/api/include/torch/version.h"),
  },
  {
    // Without it libtorch runs matrix products on the reference BLAS, about eighty times slower.
    what: "OpenBLAS",
    packages: ["libopenblas0-pthread"],
    present: () => systemLibrary("openblas-pthread/libblas.so.3"),
  },
  {
    what: "Gloo's headers (several processes)",
    packages: ["libgloo-dev"],
    present: () => existsSync("/usr/include/gloo/context.h"),
  },
];

export function hasApt() {
  return process.platform === "linux" && onPath("apt-get");
}

/**
 * Installs what is missing of `needs`.
 * @param {Need[]} needs
 * @returns {Promise<string | undefined>} what was installed
 * @throws SetupError with the command to run when this user cannot
 */
export async function installMissing(needs) {
  const missing = needs.filter((need) => !need.present());
  if (missing.length === 0) return undefined;
  const packages = missing.flatMap((need) => need.packages);
  const install = ["install", "--yes", "--no-install-recommends", ...packages];
  const what = missing.map((need) => need.what).join(", ");
  if (!hasApt()) {
    throw new SetupError(
      `missing: ${what}. Install them with your system's package manager, then run set-up again.`,
    );
  }
  const root = process.getuid?.() === 0;
  if (!root && !onPath("sudo")) {
    throw new SetupError(
      `missing: ${what}. Run as root:\n    apt-get update && apt-get ${install.join(" ")}`,
    );
  }
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  /** @param {string[]} args */
  const apt = (args) =>
    root
      ? run("apt-get", args, { env })
      : run("sudo", ["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get", ...args]);
  try {
    await apt(install).catch(async () => {
      // The package lists may be missing or old.
      await apt(["update"]);
      await apt(install);
    });
  } catch (error) {
    throw new SetupError(
      `${error instanceof Error ? error.message : error}\nmissing: ${what}. Run:\n    sudo apt-get update && sudo apt-get ${install.join(" ")}`,
    );
  }
  return `installed ${packages.join(" ")}`;
}
