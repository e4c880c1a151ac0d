import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { withLock } from "../../setup/lock.mjs";

let folder = "";
let lock = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sepc-lock-"));
  lock = join(folder, "lock");
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

test("one at a time, and nothing is left behind", async () => {
  let inside = 0;
  const body = async () => {
    expect(++inside).toBe(1);
    expect(readFileSync(lock, "utf8")).toBe(String(process.pid));
    await new Promise((wake) => setTimeout(wake, 20));
    inside--;
  };
  await Promise.all([1, 2, 3, 4].map(() => withLock(lock, body, { pollMs: 5 })));
  expect(readdirSync(folder)).toEqual([]);
});

test("a failure gives the lock back", async () => {
  await expect(withLock(lock, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(existsSync(lock)).toBe(false);
});

test("the lock of a process that was killed does not block", async () => {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  writeFileSync(lock, String(pid));
  expect(await withLock(lock, async () => "ran")).toBe("ran");
  expect(readdirSync(folder)).toEqual([]);
});

test("waiting for a process that lives ends with its name", async () => {
  writeFileSync(lock, String(process.pid));
  await expect(withLock(lock, async () => {}, { patienceMs: 20, pollMs: 5 })).rejects.toThrow(
    /another set-up has held .*lock/,
  );
  expect(process.stderr.write).toHaveBeenCalledWith(expect.stringContaining(`process ${process.pid}`));
});
