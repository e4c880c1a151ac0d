// Downloads one large file so that an interruption costs nothing: it goes on where it stopped, and is checked at the end.
import { createHash } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { pipeline } from "node:stream/promises";
import { SetupError } from "./report.mjs";

/**
 * @typedef {object} DownloadOptions
 * @property {(done: number, total: number) => void} [onProgress] bytes of the file; total is 0 when the server does not say
 * @property {(bytes: number) => void} [onSize] called once with the bytes still to come, before they do; may throw
 * @property {(reason: string) => void} [onRetry]
 * @property {string} [missing] what to do when the server does not have the file
 * @property {number} [attempts] connections that may break one after the other without a byte in between
 * @property {number} [stallMs] silence after which a connection counts as broken
 * @property {number} [pauseMs] before the second attempt; doubles with each
 */

/** What is known of an unfinished file: without it, it cannot be told whether the server's file is still the same. */
/** @typedef {{ url: string, validator: string }} PartRecord */

/** A broken connection, which may be tried again. */
class Broken extends Error {}

/** @param {string} path */
const sizeOf = (path) => (existsSync(path) ? statSync(path).size : 0);

/** @param {string} path @returns {PartRecord | undefined} */
function readRecord(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Something that changes with the file. Weak entity tags may not be used to resume (RFC 9110, 13.1.5). @param {Headers} headers */
function validatorOf(headers) {
  const tag = headers.get("etag");
  return tag && !tag.startsWith("W/") ? tag : (headers.get("last-modified") ?? "");
}

/** @param {unknown} error */
function reasonOf(error) {
  const { message, cause } = /** @type {{ message: string, cause?: { code?: string, message?: string } }} */ (
    error
  );
  return cause ? `${message}: ${cause.code ?? cause.message}` : message;
}

/** A file that cannot be written is no broken connection: another attempt would end alike. @param {string} path @param {unknown} error */
function unwritable(path, error) {
  const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
  if (code === "ENOSPC" || code === "EDQUOT") return new SetupError(`no space left on the disk for ${path}`);
  return new SetupError(`${path} cannot be written: ${message}`);
}

/** Node's fetch passes by a proxy unless it is asked to, and older ones always do. */
function proxyHint() {
  const name = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"].find(
    (v) => process.env[v],
  );
  if (name === undefined || process.env.NODE_USE_ENV_PROXY) return "";
  return ` ${name} is set: Node follows it from versions 22.21 and 24 on, when NODE_USE_ENV_PROXY=1 is set too.`;
}

/** @param {string} url @param {number} status @param {string} [missing] */
function refused(url, status, missing) {
  if (status === 404 || status === 403)
    return new SetupError([`${url}\n  is not there (HTTP ${status}).`, missing].filter(Boolean).join(" "));
  if (status === 429 || status >= 500) return new Broken(`the server answered HTTP ${status}`);
  return new SetupError(`${url}: the server answered HTTP ${status}`);
}

/**
 * Downloads `url` to `path`, through `path.part`. A `.part` left by an earlier run is continued when the server says that
 * its file has not changed, and begun anew otherwise.
 * @param {string} url @param {string} path @param {DownloadOptions} [options]
 * @throws SetupError when the server refuses, the connection keeps breaking, or the file cannot be written
 */
export async function download(url, path, options = {}) {
  const { attempts = 5, pauseMs = 1000 } = options;
  const part = `${path}.part`;
  for (let failures = 0; ; ) {
    const before = sizeOf(part);
    try {
      await attempt(url, part, options);
      break;
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      failures = sizeOf(part) > before ? 1 : failures + 1;
      if (failures >= attempts) {
        throw new SetupError(
          `${url}: the download broke off ${failures} times without a byte in between (${error.message}). What came is kept; the same command goes on from there.${proxyHint()}`,
        );
      }
      options.onRetry?.(error.message);
      await new Promise((wake) => setTimeout(wake, pauseMs * 2 ** (failures - 1)));
    }
  }
  renameSync(part, path);
  rmSync(`${part}.json`, { force: true });
}

/** One connection. @param {string} url @param {string} part @param {DownloadOptions} options */
async function attempt(url, part, options) {
  const record = readRecord(`${part}.json`);
  const known = record?.url === url && record.validator ? record.validator : undefined;
  const have = known ? sizeOf(part) : 0;
  const abort = new AbortController();
  const response = await connect(url, have, known, abort.signal);
  try {
    await take(response, url, part, have, known, abort, options);
  } catch (error) {
    abort.abort();
    throw error;
  }
}

/**
 * @param {Response} response @param {string} url @param {string} part @param {number} have bytes of the part
 * @param {string | undefined} known what the part's record says of the server's file
 * @param {AbortController} abort @param {DownloadOptions} options
 */
async function take(response, url, part, have, known, abort, options) {
  if (response.status === 416) {
    // Nothing is left to send: the part is whole, or the server's file is another, shorter one.
    const total = Number(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1] ?? -1);
    if (total === have && validatorOf(response.headers) === known) return;
    rmSync(part, { force: true });
    throw new Broken("the server's file has changed; beginning anew");
  }
  if (!response.ok) throw refused(url, response.status, options.missing);
  const resumed = response.status === 206;
  const { start, total } = resumed ? contentRange(response, url) : { start: 0, total: lengthOf(response) };
  if (resumed && start !== have)
    throw new SetupError(`${url}: asked to go on at byte ${have}, the server went on at ${start}`);
  options.onSize?.(Math.max(0, total - start));
  try {
    writeFileSync(`${part}.json`, JSON.stringify({ url, validator: validatorOf(response.headers) }));
  } catch (error) {
    throw unwritable(part, error);
  }
  await receive(response, part, start, total, abort, options);
}

/** @param {string} url @param {number} have @param {string | undefined} validator @param {AbortSignal} signal */
async function connect(url, have, validator, signal) {
  /** @type {Record<string, string>} */
  const headers = { "accept-encoding": "identity" };
  if (have > 0 && validator) Object.assign(headers, { range: `bytes=${have}-`, "if-range": validator });
  try {
    return await fetch(url, { headers, signal });
  } catch (error) {
    throw new Broken(reasonOf(error));
  }
}

/** @param {Response} response */
const lengthOf = (response) => Number(response.headers.get("content-length") ?? 0);

/** @param {Response} response @param {string} url */
function contentRange(response, url) {
  const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  if (!match) throw new SetupError(`${url}: the server sent a part of the file without saying which`);
  return { start: Number(match[1]), total: Number(match[2]) };
}

/**
 * @param {Response} response @param {string} part @param {number} start @param {number} total
 * @param {AbortController} abort @param {DownloadOptions} options
 */
async function receive(response, part, start, total, abort, options) {
  const { stallMs = 60_000, onProgress } = options;
  let done = start;
  let stalled = false;
  /** @type {unknown} */
  let broken;
  const stall = setTimeout(() => {
    stalled = true;
    abort.abort();
  }, stallMs);
  // A break ends the stream like its end would: thrown on, it would also throw away what is not yet on the disk.
  async function* counted() {
    try {
      for await (const chunk of /** @type {AsyncIterable<Uint8Array>} */ (response.body ?? [])) {
        stall.refresh();
        done += chunk.length;
        onProgress?.(done, total);
        yield chunk;
      }
    } catch (error) {
      broken = error;
    }
  }
  const file = createWriteStream(part, start > 0 ? { flags: "r+", start } : { flags: "w" });
  try {
    await pipeline(counted, file);
  } catch (error) {
    throw unwritable(part, error); // what breaks of the connection is in `broken`
  } finally {
    clearTimeout(stall);
  }
  if (stalled) throw new Broken(`nothing came for ${stallMs / 1000} s`);
  if (broken !== undefined) throw new Broken(reasonOf(broken));
  if (total > 0 && done !== total) throw new Broken(`the server sent ${done} of ${total} bytes`);
}

/** @param {string} path @returns {Promise<string>} SHA-256 in hexadecimal */
export async function sha256Of(path) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

/** The checksum that a server keeps beside a file (`<url>.sha256`), if it does. @param {string} url */
export async function checksumBeside(url) {
  try {
    const response = await fetch(`${url}.sha256`, { signal: AbortSignal.timeout(30_000) });
    if (!response.ok) return undefined;
    return /^\s*([0-9a-f]{64})\b/i.exec((await response.text()).slice(0, 1000))?.[1]?.toLowerCase();
  } catch {
    return undefined;
  }
}
