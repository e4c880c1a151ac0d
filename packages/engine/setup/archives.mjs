// Names, addresses and checksums of the official libtorch archives.
import { readFileSync } from "node:fs";
import { SetupError } from "./report.mjs";

/** Where PyTorch publishes libtorch; `--mirror` or SEPC_LIBTORCH_MIRROR puts another server in its place. */
export const officialServer = "https://download.pytorch.org/libtorch";

/** Fetched when no version is named. Its archives' checksums are known, and the CUDA ones bring CUDA's libraries along. */
export const defaultVersion = "2.10.0";
/** Fetched by `--cuda` without a name. */
export const defaultCuda = "cu128";

/** The last version with an archive for Intel Macs. */
const lastForIntelMacs = "2.2.2";

/**
 * @typedef {object} Archive
 * @property {string} file "libtorch-shared-with-deps-2.10.0+cpu.zip"
 * @property {string} url
 * @property {string} version "2.10.0"
 * @property {string} variant "cpu", "cu128"
 * @property {string | undefined} sha256 from the table in checksums.json
 */

/** @param {string} a @param {string} b versions "2.7.1" @returns {boolean} whether a comes before b */
export function isOlder(a, b) {
  return a.localeCompare(b, "en", { numeric: true }) < 0;
}

/** @param {string} version @param {string} variant @param {string} platform @param {string} arch */
function fileName(version, variant, platform, arch) {
  const cuda = variant !== "cpu";
  switch (`${platform}-${arch}`) {
    case "linux-x64":
      // Up to 2.7 there were two archives; the plain name meant the older C++ ABI, which compilers no longer use.
      return `libtorch-${isOlder(version, "2.8.0") ? "cxx11-abi-" : ""}shared-with-deps-${version}+${variant}.zip`;
    case "win32-x64":
      return `libtorch-win-shared-with-deps-${version}+${variant}.zip`;
    case "win32-arm64":
      return cuda ? undefined : `libtorch-win-arm64-shared-with-deps-${version}+${variant}.zip`;
    case "darwin-arm64":
      return cuda ? undefined : `libtorch-macos-arm64-${version}.zip`;
    case "darwin-x64":
      return cuda || isOlder(lastForIntelMacs, version) ? undefined : `libtorch-macos-x86_64-${version}.zip`;
    default:
      return undefined;
  }
}

/** @param {string} platform @param {string} arch @param {string} version @param {string} variant */
function noArchive(platform, arch, version, variant) {
  const instead =
    platform === "linux"
      ? "Install your distribution's libtorch (Debian, Ubuntu: libtorch-dev) or a Python `torch` package, which brings the same libraries; set-up finds both."
      : platform === "darwin" && arch === "x64"
        ? `Intel Macs have archives up to ${lastForIntelMacs}: pass \`--libtorch ${lastForIntelMacs}\`.`
        : "Pass `--cpu`, or name an unpacked libtorch with LIBTORCH.";
  return new SetupError(
    `there is no official libtorch ${version} (${variant}) for ${platform} ${arch}. ${instead}`,
  );
}

/** @returns {Record<string, string>} SHA-256 by file name */
export function knownChecksums() {
  return JSON.parse(readFileSync(new URL("checksums.json", import.meta.url), "utf8")).sha256;
}

/**
 * The archive for a platform.
 * @param {{ version?: string, variant?: string, mirror?: string, platform?: string, arch?: string }} [options]
 * @returns {Archive}
 * @throws SetupError when there is none, or an option is malformed
 */
export function archiveFor(options = {}) {
  const { platform = process.platform, arch = process.arch, variant = "cpu" } = options;
  const version =
    options.version ?? (`${platform}-${arch}` === "darwin-x64" ? lastForIntelMacs : defaultVersion);
  if (!/^\d+\.\d+\.\d+$/.test(version)) {
    throw new SetupError(`--libtorch: expected a release such as ${defaultVersion}, got "${version}"`);
  }
  if (!/^(cpu|cu\d{3})$/.test(variant)) {
    throw new SetupError(`--cuda: expected a build such as ${defaultCuda} or cu130, got "${variant}"`);
  }
  const file = fileName(version, variant, platform, arch);
  if (file === undefined) throw noArchive(platform, arch, version, variant);
  const server = (options.mirror ?? (process.env.SEPC_LIBTORCH_MIRROR || officialServer)).replace(/\/+$/, "");
  const url = `${server}/${variant}/${encodeURIComponent(file)}`;
  return { file, url, version, variant, sha256: knownChecksums()[file] };
}
