// Fetches one published file into a folder of the user's: goes on where it stopped, and is checked before it is there.
import { accessSync, constants, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import { download, sha256Of } from "./download.mjs";
import { withLock } from "./lock.mjs";
import { Progress, showBytes } from "./progress.mjs";
import { SetupError, say } from "./report.mjs";

/**
 * Downloads with a progress bar.
 * @param {string} url @param {string} path @param {import("./download.mjs").DownloadOptions} [options]
 */
export async function downloadShown(url, path, options = {}) {
  /** @type {Progress | undefined} */
  let progress;
  say(`  fetching ${url}`);
  await download(url, path, {
    ...options,
    onProgress: (done, total) => {
      progress ??= new Progress({ label: "  download", total, show: showBytes, start: done });
      progress.update(done);
    },
    onRetry: (reason) => {
      progress?.clear();
      say(`  the connection broke off (${reason}); going on`);
    },
  });
  progress?.finish();
}

/**
 * Makes a folder that is to receive a download.
 * @param {string} folder @param {string} instead how another is named
 * @throws SetupError when it cannot be made, or nothing can be put there
 */
export function makeFolder(folder, instead) {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw new SetupError(
      `${folder} cannot receive the download: ${message}. ${instead} names another folder.`,
    );
  }
}

/**
 * @typedef {object} FetchFileOptions
 * @property {string} url
 * @property {string} path where the file goes; one that is there is checked and not fetched
 * @property {string} sha256 the first hexadecimal digits of its checksum, or all 64
 * @property {Pick<import("./download.mjs").DownloadOptions, "attempts" | "pauseMs" | "stallMs">} [connection]
 */

/** @param {string} path @param {string} expected */
async function fault(path, expected) {
  const found = await sha256Of(path);
  if (found.startsWith(expected.toLowerCase())) return undefined;
  return `its SHA-256 is\n  ${found}, expected\n  ${expected}${expected.length < 64 ? "..." : ""}`;
}

/** @param {FetchFileOptions} options */
async function fetchChecked({ url, path, sha256, connection }) {
  const arriving = `${path}.unchecked`;
  try {
    if (!existsSync(arriving)) await downloadShown(url, arriving, { attempts: 3, ...connection });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    throw new SetupError(
      `${error.message}\nWithout a connection: get ${basename(path)} by other means and put it at\n  ${path}`,
    );
  }
  const wrong = await fault(arriving, sha256);
  if (wrong !== undefined) {
    rmSync(arriving, { force: true });
    throw new SetupError(
      `what came from ${url} is not what was published: ${wrong}.\nIt was removed. Run the command again; if it fails again, something changes the file on its way.`,
    );
  }
  renameSync(arriving, path);
}

/**
 * The file's path, once it is there whole and right.
 * @param {FetchFileOptions} options
 * @returns {Promise<string>}
 * @throws SetupError when it cannot be had, with where to put it by hand; or when its checksum is another
 */
export async function fetchFile(options) {
  const { path, sha256 } = options;
  makeFolder(dirname(path), "The variable SEPC_CACHE");
  if (!existsSync(path)) {
    await withLock(
      `${path}.lock`,
      async () => {
        if (!existsSync(path)) await fetchChecked(options);
      },
      { what: "download" },
    );
    return path;
  }
  const wrong = await fault(path, sha256);
  if (wrong === undefined) return path;
  throw new SetupError(
    `${path} is not what was published: ${wrong}.\nRemove it, and run the command again to fetch it.`,
  );
}
