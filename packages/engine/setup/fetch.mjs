// Fetches an official libtorch archive on request: download, check, unpack, put in place.
import { existsSync, mkdirSync, renameSync, rmSync, statfsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { archiveFor } from "./archives.mjs";
import { checksumBeside, sha256Of } from "./download.mjs";
import { downloadShown, makeFolder } from "./fetchFile.mjs";
import { downloadFolder, libtorchIn, select } from "./find-libtorch.mjs";
import { withLock } from "./lock.mjs";
import { Progress, showBytes } from "./progress.mjs";
import { SetupError, say } from "./report.mjs";
import { unzip } from "./unzip.mjs";

/**
 * @typedef {object} FetchOptions
 * @property {string} [version] "2.10.0"
 * @property {string} [variant] "cpu", "cu128"
 * @property {string} [mirror] address in place of the official server's
 * @property {string} [dir] folder that receives `<version>-<variant>/libtorch`
 * @property {string} [sha256] expected of the archive
 * @property {boolean} [verify] false: take an archive without a checksum
 * @property {string} [archive] path of an archive that was downloaded by other means
 * @property {string} [platform]
 * @property {string} [arch]
 * @property {Pick<import("./download.mjs").DownloadOptions, "attempts" | "pauseMs" | "stallMs">} [connection]
 */

/** @param {string} folder @param {number} bytes @param {string} what @param {(folder: string) => number} [free] */
export function needSpace(folder, bytes, what, free = freeBytes) {
  const room = free(folder);
  if (room >= bytes) return;
  throw new SetupError(
    `${what} needs ${showBytes(bytes)}, but ${folder} has ${showBytes(room)} free. Make room, or name another folder with --dir.`,
  );
}

/** @param {string} folder */
function freeBytes(folder) {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/**
 * Which checksum the archive must have, and who says so.
 * @param {import("./archives.mjs").Archive} archive @param {FetchOptions} options
 * @returns {Promise<{ sha256: string, source: string } | undefined>} undefined: the user does not want one
 */
async function expectedChecksum(archive, options) {
  if (options.sha256 !== undefined) {
    const sha256 = options.sha256.toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(sha256))
      throw new SetupError(`--sha256: expected 64 hexadecimal digits, got "${options.sha256}"`);
    return { sha256, source: "--sha256" };
  }
  if (archive.sha256) return { sha256: archive.sha256, source: "the table in this package" };
  const beside = options.archive ? undefined : await checksumBeside(archive.url);
  if (beside) return { sha256: beside, source: `${archive.url}.sha256` };
  if (options.verify === false) return undefined;
  throw new SetupError(
    [
      `no checksum is known for ${archive.file}, so it could not be told whether what arrives is what was published.`,
      "Do one of these:",
      "  - name it:                --sha256 HEX",
      "  - take a known version:   leave --libtorch and the build's name out",
      "  - take it unchecked:      --no-verify",
    ].join("\n"),
  );
}

const published =
  "Is it a published version and build? Others: `--libtorch X.Y.Z`, `--cuda cuNNN`, `--cpu`, `--mirror ADDRESS`.";

/** @param {string} path @param {{ sha256: string, source: string }} expected @param {boolean} remove */
async function checkArchive(path, expected, remove) {
  const found = await sha256Of(path);
  if (found === expected.sha256) {
    say(`  checksum: right (SHA-256, from ${expected.source})`);
    return;
  }
  if (remove) rmSync(path, { force: true });
  throw new SetupError(
    [
      `${path} is not what was published: its SHA-256 is`,
      `  ${found}, expected`,
      `  ${expected.sha256} (${expected.source}).`,
      remove
        ? "It was removed. Run the command again; if it fails again, something changes the file on its way."
        : "Get the archive anew.",
    ].join("\n"),
  );
}

/** Unpacks beside the final place and moves it there, so that what is there is always whole. @param {string} path @param {string} place */
async function unpack(path, place) {
  const beside = `${place}.unpacking`;
  rmSync(beside, { recursive: true, force: true });
  mkdirSync(beside, { recursive: true });
  try {
    /** @type {Progress | undefined} */
    let progress;
    await unzip(path, beside, {
      onSize: (bytes) => needSpace(beside, bytes, "unpacking"),
      onProgress: (done, total) => {
        progress ??= new Progress({ label: "  unpacking", total, show: showBytes });
        progress.update(done);
      },
    });
    progress?.finish();
    if (!libtorchIn(join(beside, "libtorch"), "")) {
      throw new SetupError(
        `${path} holds no libtorch for this system (expected libtorch/include and libtorch/lib in it)`,
      );
    }
    rmSync(place, { recursive: true, force: true });
    renameSync(beside, place);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

/** The archive's own name says its version and build. @param {string} path @param {FetchOptions} options */
function archiveGiven(path, options) {
  if (!existsSync(path) || !statSync(path).isFile())
    throw new SetupError(`--archive: there is no file ${path}`);
  const name = path.split(/[/\\]/).at(-1)?.replaceAll("%2B", "+") ?? "";
  const found = /(\d+\.\d+\.\d+)(?:\+(cpu|cu\d{3}))?\.zip$/.exec(name);
  const version = options.version ?? found?.[1];
  if (version === undefined) {
    throw new SetupError(`--archive: ${name} does not name its version; pass --libtorch X.Y.Z too`);
  }
  return { ...archiveFor({ ...options, version, variant: options.variant ?? found?.[2] ?? "cpu" }), path };
}

/**
 * Fetches the libtorch asked for and makes it the one that set-up uses. One that is there already is not fetched again.
 * @param {FetchOptions} [options]
 * @returns {Promise<import("./find-libtorch.mjs").Libtorch>}
 * @throws SetupError when there is no such archive, it does not have its checksum, or the disk is full
 */
export async function fetchLibtorch(options = {}) {
  const given = options.archive ? archiveGiven(resolve(options.archive), options) : undefined;
  const archive = given ?? archiveFor(options);
  const folder = resolve(options.dir ?? downloadFolder());
  const name = `${archive.version}-${archive.variant}`;
  const root = join(folder, name, "libtorch");
  makeFolder(folder, "--dir, or the variable SEPC_CACHE,");
  return withLock(join(folder, `${name}.lock`), async () => {
    const source = `fetched by setup (${name})`;
    if (!libtorchIn(root, source)) {
      const expected = await expectedChecksum(archive, options);
      const path = given?.path ?? join(folder, archive.file);
      if (!given && !existsSync(path)) {
        const onSize = (/** @type {number} */ bytes) => needSpace(folder, bytes, "the archive");
        await downloadShown(archive.url, path, { ...options.connection, onSize, missing: published });
      }
      if (expected) await checkArchive(path, expected, !given);
      else say("  checksum: none known, not checked (--no-verify)");
      await unpack(path, join(folder, name));
      if (!given) rmSync(path, { force: true });
    }
    const found = libtorchIn(root, source);
    if (!found) throw new SetupError(`${root} holds no libtorch`);
    select(root);
    return found;
  });
}
