import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { unzip } from "../../setup/unzip.mjs";
import { makeZip, type ZipEntry } from "./archiveServer.js";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sepc-unzip-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function unpack(archive: Buffer): Promise<string> {
  const path = join(folder, "archive.zip");
  const root = join(folder, "root");
  writeFileSync(path, archive);
  mkdirSync(root, { recursive: true });
  await unzip(path, root);
  return root;
}

describe("unzip", () => {
  test.each([false, true])("gives files, folders, rights and links back (zip64: %s)", async (zip64) => {
    const entries: ZipEntry[] = [
      { name: "a/", text: "", mode: 0o040755, stored: true },
      { name: "a/stored.txt", text: "stored", stored: true },
      { name: "a/b/run.sh", text: "#!/bin/sh\n".repeat(1000), mode: 0o100755 },
      { name: "a/empty", text: "" },
      { name: "a/link", text: "b/run.sh", mode: 0o120777, stored: true },
    ];
    const root = await unpack(makeZip(entries, zip64));
    expect(readFileSync(join(root, "a/stored.txt"), "utf8")).toBe("stored");
    expect(readFileSync(join(root, "a/empty"), "utf8")).toBe("");
    expect(readFileSync(join(root, "a/link"), "utf8")).toBe("#!/bin/sh\n".repeat(1000));
    expect(lstatSync(join(root, "a/link")).isSymbolicLink()).toBe(true);
    expect(statSync(join(root, "a/b/run.sh")).mode & 0o111).not.toBe(0);
    expect(statSync(join(root, "a/stored.txt")).mode & 0o111).toBe(0);
  });

  test.each([
    ["../out.txt"],
    ["a/../../out.txt"],
    ["/tmp/out.txt"],
    ["C:/out.txt"],
    ["..\\out.txt"],
    ["a\0b"],
  ])("refuses %j before writing anything", async (name) => {
    const archive = makeZip([
      { name: "good.txt", text: "good" },
      { name, text: "bad" },
    ]);
    await expect(unpack(archive)).rejects.toThrow(/would land outside/);
    expect(readdirSync(join(folder, "root"))).toEqual([]);
    expect(existsSync(join(folder, "out.txt"))).toBe(false);
  });

  test.each([["../.."], ["/etc"], ["a/../../x"]])("refuses a link to %s", async (target) => {
    const archive = makeZip([
      { name: "link", text: target, mode: 0o120777, stored: true },
      { name: "link/out.txt", text: "bad" },
    ]);
    await expect(unpack(archive)).rejects.toThrow(/would land outside/);
  });

  test("names what is damaged", async () => {
    await expect(unpack(makeZip([{ name: "x", text: "text", crc: 1 }]))).rejects.toThrow(/x is damaged/);
    rmSync(join(folder, "root"), { recursive: true });
    const bomb = makeZip([{ name: "x", text: "0".repeat(100_000), size: 10 }]);
    await expect(unpack(bomb)).rejects.toThrow(/x is larger than its directory says/);
    await expect(unpack(Buffer.from("not a zip, but long enough to be one"))).rejects.toThrow(/no directory/);
    await expect(unpack(Buffer.alloc(0))).rejects.toThrow(/too short/);
  });

  test("no damaged archive gets past without an error or the right content", async () => {
    const archive = makeZip([
      { name: "a/x.txt", text: "hello, hello, hello" },
      { name: "y", text: "y", stored: true },
    ]);
    await fc.assert(
      fc.asyncProperty(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const damaged = Buffer.from(archive);
        damaged[at] = (damaged[at] as number) ^ flip;
        rmSync(join(folder, "root"), { recursive: true, force: true });
        try {
          await unpack(damaged);
        } catch (error) {
          expect((error as Error).message).not.toMatch(/undefined|is not a function/);
        }
        expect(readdirSync(folder).sort()).toEqual(["archive.zip", "root"]);
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});
