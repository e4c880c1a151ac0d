// One at a time: a lock file that names its owner, so that one left behind by a killed process does not block.
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { SetupError, say } from "./report.mjs";

/** @param {string} path @returns {number | undefined} the process that holds it, if it lives */
function owner(path) {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    // EPERM: it lives and is another user's.
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM" ? -1 : undefined;
  }
}

/** Takes the lock, or says that it is held. The file appears with its content in one step. @param {string} path */
function take(path) {
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, String(process.pid));
  try {
    linkSync(mine, path);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    return false;
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Removes a lock whose owner is dead, unless another process was quicker and took it anew. @param {string} path */
function removeStale(path) {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
    if (owner(aside) !== undefined) linkSync(aside, path);
  } catch {
    // Another process did it.
  } finally {
    rmSync(aside, { force: true });
  }
}

/**
 * Runs `body` while holding the lock file; waits for another process that holds it.
 * @template T
 * @param {string} path @param {() => Promise<T>} body
 * @param {{ patienceMs?: number, pollMs?: number, what?: string }} [options] what: holds it, "set-up" unless told
 * @returns {Promise<T>}
 * @throws SetupError when the other process takes longer than `patienceMs`
 */
export async function withLock(path, body, options = {}) {
  const { patienceMs = 30 * 60_000, pollMs = 300, what = "set-up" } = options;
  mkdirSync(dirname(path), { recursive: true });
  for (let waited = 0; !take(path); waited += pollMs) {
    const pid = owner(path);
    if (pid === undefined) removeStale(path);
    else if (waited === 0) say(`  waiting for another ${what}${pid > 0 ? ` (process ${pid})` : ""} ...`);
    if (waited > patienceMs) {
      throw new SetupError(`another ${what} has held ${path} for ${Math.round(patienceMs / 60_000)} minutes`);
    }
    if (pid !== undefined) await new Promise((wake) => setTimeout(wake, pollMs));
  }
  const release = () => rmSync(path, { force: true });
  process.once("exit", release);
  try {
    return await body();
  } finally {
    process.removeListener("exit", release);
    release();
  }
}
