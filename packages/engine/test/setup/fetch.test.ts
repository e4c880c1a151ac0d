import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { archiveFor, knownChecksums } from "../../setup/archives.mjs";
import { fetchLibtorch, needSpace } from "../../setup/fetch.mjs";
import { findLibtorch } from "../../setup/find-libtorch.mjs";
import { type ArchiveServer, archiveServer, libtorchZip, makeZip } from "./archiveServer.js";

const zip = libtorchZip("2.9.9");
const sha256 = createHash("sha256").update(zip).digest("hex");
const here = { platform: "linux", arch: "x64", version: "2.9.9" } as const;
const file = "libtorch-shared-with-deps-2.9.9+cpu.zip";
// A connection counts as silent after long enough for a busy machine.
const connection = { pauseMs: 1, attempts: 3, stallMs: 10_000 };

let cache = "";
let server: ArchiveServer;
let said = "";

beforeEach(async () => {
  cache = mkdtempSync(join(tmpdir(), "sepc-fetch-"));
  vi.stubEnv("SEPC_CACHE", cache);
  vi.stubEnv("LIBTORCH", "");
  server = await archiveServer({ [`/cpu/${file}`]: zip });
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await server.close();
  rmSync(cache, { recursive: true, force: true });
});

const folder = () => join(cache, "libtorch");
const options = () => ({ ...here, mirror: server.address, sha256, connection });

test.each([
  ["linux", "x64", "2.10.0", "cpu", "cpu/libtorch-shared-with-deps-2.10.0%2Bcpu.zip"],
  ["linux", "x64", "2.10.0", "cu128", "cu128/libtorch-shared-with-deps-2.10.0%2Bcu128.zip"],
  ["linux", "x64", "2.7.1", "cpu", "cpu/libtorch-cxx11-abi-shared-with-deps-2.7.1%2Bcpu.zip"],
  ["win32", "x64", "2.10.0", "cpu", "cpu/libtorch-win-shared-with-deps-2.10.0%2Bcpu.zip"],
  ["win32", "arm64", "2.10.0", "cpu", "cpu/libtorch-win-arm64-shared-with-deps-2.10.0%2Bcpu.zip"],
  ["darwin", "arm64", "2.10.0", "cpu", "cpu/libtorch-macos-arm64-2.10.0.zip"],
  ["darwin", "x64", "2.2.2", "cpu", "cpu/libtorch-macos-x86_64-2.2.2.zip"],
])("the archive for %s %s, %s %s", (platform, arch, version, variant, path) => {
  const archive = archiveFor({ platform, arch, version, variant, mirror: "http://mirror/" });
  expect(archive.url).toBe(`http://mirror/${path}`);
});

test("what has no archive is refused with what to do instead", () => {
  expect(() => archiveFor({ platform: "linux", arch: "arm64" })).toThrow(
    /no official.*libtorch-dev.*Python/s,
  );
  expect(() => archiveFor({ platform: "darwin", arch: "arm64", variant: "cu128" })).toThrow(/--cpu/);
  expect(() => archiveFor({ platform: "darwin", arch: "x64", version: "2.10.0" })).toThrow(/2\.2\.2/);
  expect(() => archiveFor({ version: "latest" })).toThrow(/--libtorch: expected a release such as/);
  expect(() => archiveFor({ variant: "cuda" })).toThrow(/--cuda: expected a build such as/);
});

test("checksums are known for the default version on every platform that has it", () => {
  for (const [platform, arch] of [
    ["linux", "x64"],
    ["win32", "x64"],
    ["win32", "arm64"],
    ["darwin", "arm64"],
  ]) {
    expect(archiveFor({ platform, arch }).sha256).toMatch(/^[0-9a-f]{64}$/);
  }
  expect(archiveFor({ platform: "linux", arch: "x64", variant: "cu128" }).sha256).toBeDefined();
  for (const value of Object.values(knownChecksums())) expect(value).toMatch(/^[0-9a-f]{64}$/);
});

describe("fetching", () => {
  test("downloads, checks, unpacks, and is what set-up finds from then on", async () => {
    const found = await fetchLibtorch(options());
    expect(found).toMatchObject({ version: "2.9.9", cuda: false });
    expect(found.root).toBe(join(folder(), "2.9.9-cpu", "libtorch"));
    expect(findLibtorch()?.root).toBe(found.root);
    expect(said).toMatch(/fetching http[\s\S]*100 %[\s\S]*checksum: right/);
    expect(readdirSync(folder()).sort()).toEqual(["2.9.9-cpu", "selected.json"]);
    await fetchLibtorch(options());
    expect(server.requests).toHaveLength(1);
  });

  test("goes on by itself where connections broke", async () => {
    server.habits = { cutAfter: 200, cuts: 2 };
    await fetchLibtorch(options());
    expect(server.requests).toEqual([`/cpu/${file}`, `/cpu/${file} from 200`, `/cpu/${file} from 400`]);
    expect(said).toContain("the connection broke off");
  });

  test("a later run goes on where an earlier one gave up", async () => {
    server.habits = { cutAfter: 150, cuts: 1 };
    const once = { ...options(), connection: { ...connection, attempts: 1 } };
    await expect(fetchLibtorch(once)).rejects.toThrow(/broke off.*the same command goes on from there/);
    expect(existsSync(join(folder(), `${file}.part`))).toBe(true);
    await fetchLibtorch(once);
    expect(server.requests.at(-1)).toBe(`/cpu/${file} from 150`);
  });

  test("begins anew when the server ignores ranges, or its file has changed", async () => {
    server.habits = { cutAfter: 150, cuts: 1, ignoresRange: true };
    await fetchLibtorch(options());
    expect(server.requests).toHaveLength(2);
    rmSync(folder(), { recursive: true });
    server.habits = { cutAfter: 150, cuts: 1 };
    const once = { ...options(), connection: { ...connection, attempts: 1 } };
    await expect(fetchLibtorch(once)).rejects.toThrow(/broke off/);
    const other = makeZip([{ name: "libtorch/other", text: "another file ".repeat(99) }]);
    server.files.set(`/cpu/${file}`, other);
    const changed = createHash("sha256").update(other).digest("hex");
    await expect(fetchLibtorch({ ...once, sha256: changed })).rejects.toThrow(/holds no libtorch/);
  });

  test("a silent connection is given up and taken up again", async () => {
    server.habits = { stalls: true };
    await fetchLibtorch({ ...options(), connection: { ...connection, stallMs: 300 } });
    expect(said).toContain("nothing came for 0.3 s");
    expect(server.requests).toEqual([`/cpu/${file}`, `/cpu/${file} from 10`]);
  });

  test("a file shorter than announced is no file", async () => {
    server.habits = { liesAboutSize: true, ignoresRange: true };
    await expect(fetchLibtorch(options())).rejects.toThrow(/broke off 3 times/);
    expect(existsSync(join(folder(), "2.9.9-cpu"))).toBe(false);
  });

  test("a wrong checksum removes the file and shows both", async () => {
    const wrong = "0".repeat(64);
    await expect(fetchLibtorch({ ...options(), sha256: wrong })).rejects.toThrow(
      new RegExp(`${sha256}[\\s\\S]*${wrong}`),
    );
    expect(readdirSync(folder())).toEqual([]);
  });

  test("404 names the address and what could be meant; others their status", async () => {
    const missing = fetchLibtorch({ ...options(), version: "9.9.9" });
    await expect(missing).rejects.toThrow(/9\.9\.9%2Bcpu\.zip[\s\S]*is not there \(HTTP 404\).*--mirror/);
    server.habits = { status: 500 };
    await expect(fetchLibtorch(options())).rejects.toThrow(/broke off 3 times.*HTTP 500/);
    server.habits = { status: 401 };
    await expect(fetchLibtorch(options())).rejects.toThrow(/HTTP 401/);
  });

  test("without a known checksum it takes the server's own, else refuses, unless told not to check", async () => {
    const unknown = { ...options(), sha256: undefined };
    await expect(fetchLibtorch(unknown)).rejects.toThrow(
      /no checksum is known[\s\S]*--sha256[\s\S]*--no-verify/,
    );
    expect(server.requests).toEqual([`/cpu/${file}.sha256`]);
    server.files.set(`/cpu/${file}.sha256`, Buffer.from(`${sha256.toUpperCase()}  ${file}\n`));
    await fetchLibtorch(unknown);
    expect(said).toContain(".sha256)");
    rmSync(folder(), { recursive: true });
    server.files.delete(`/cpu/${file}.sha256`);
    await fetchLibtorch({ ...unknown, verify: false });
    expect(said).toContain("not checked (--no-verify)");
    rmSync(folder(), { recursive: true });
    await expect(fetchLibtorch({ ...options(), sha256: "abc" })).rejects.toThrow(
      /64 hexadecimal digits, got "abc"/,
    );
  });

  test("an archive downloaded by other means", async () => {
    const path = join(cache, file);
    writeFileSync(path, zip);
    const found = await fetchLibtorch({ ...here, version: undefined, archive: path, sha256 });
    expect(found.version).toBe("2.9.9");
    expect(existsSync(path)).toBe(true);
    expect(server.requests).toEqual([]);
    await expect(fetchLibtorch({ archive: join(cache, "none.zip") })).rejects.toThrow(/there is no file/);
  });

  test("two at once: the second waits for the first", async () => {
    const [a, b] = await Promise.all([fetchLibtorch(options()), fetchLibtorch(options())]);
    expect(a.root).toBe(b.root);
    expect(server.requests).toHaveLength(1);
  });

  test("a failed archive leaves the one in place alone", async () => {
    const first = await fetchLibtorch(options());
    const evil = makeZip([{ name: "../evil", text: "x" }]);
    server.files.set("/cpu/libtorch-shared-with-deps-2.9.8+cpu.zip", evil);
    const attempt = fetchLibtorch({
      ...options(),
      version: "2.9.8",
      sha256: createHash("sha256").update(evil).digest("hex"),
    });
    await expect(attempt).rejects.toThrow(/would land outside/);
    expect(existsSync(join(folder(), "evil"))).toBe(false);
    expect(findLibtorch()?.root).toBe(first.root);
  });

  test("a full disk is noticed before", () => {
    mkdirSync(folder(), { recursive: true });
    expect(() => needSpace(folder(), 2.5e9, "the archive", () => 1.2e9)).toThrow(
      /the archive needs 2\.50 GB, but .* has 1\.20 GB free.*--dir/,
    );
    expect(() => needSpace(folder(), 1, "the archive")).not.toThrow();
  });

  test("a folder that cannot receive it is named, before anything is asked of the server", async () => {
    const taken = join(cache, "taken");
    writeFileSync(taken, "a file, no folder");
    await expect(fetchLibtorch({ ...options(), dir: join(taken, "below") })).rejects.toThrow(
      /taken.below cannot receive the download: .*--dir, or the variable SEPC_CACHE, names another folder/,
    );
    expect(server.requests).toEqual([]);
  });

  test("a file that cannot be written is not taken for a broken connection", async () => {
    mkdirSync(join(folder(), `${file}.part`), { recursive: true });
    await expect(fetchLibtorch(options())).rejects.toThrow(/\.part cannot be written/);
    expect(server.requests).toHaveLength(1);
  });

  test("a proxy that Node passes by is told of when nothing comes", async () => {
    vi.stubEnv("HTTPS_PROXY", "http://127.0.0.1:1");
    vi.stubEnv("NODE_USE_ENV_PROXY", "");
    server.habits = { status: 500 };
    await expect(fetchLibtorch(options())).rejects.toThrow(/HTTPS_PROXY is set.*NODE_USE_ENV_PROXY=1/);
  });
});

describe("the command line", () => {
  const cli = (...args: string[]): string => {
    const script = fileURLToPath(new URL("../../setup/cli.mjs", import.meta.url));
    const { status, stderr, stdout } = spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
    return `${status}: ${stdout}${stderr}`;
  };

  test("has every option that messages speak of", () => {
    const help = cli("setup", "--help");
    for (const option of [
      "--cpu",
      "--cuda",
      "--libtorch",
      "--dir",
      "--mirror",
      "--archive",
      "--sha256",
      "--no-verify",
    ])
      expect(help).toContain(option);
    expect(cli("setup", "--archive", join(cache, "none.zip"))).toMatch(/^1: --archive: there is no file/);
    expect(cli("setup", "--cpu", "--cuda", "cu130")).toMatch(/^1: --cpu and --cuda: choose one/);
    expect(cli("setup", "--gpu")).toMatch(/^1: Unknown option '--gpu'[\s\S]*usage:/);
  });
});
