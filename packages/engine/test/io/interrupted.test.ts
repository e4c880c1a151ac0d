// Writers that are killed, and disks that are full.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { full, io } from "../../src/index.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-interrupted-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const engine = new URL("../../dist/index.js", import.meta.url).href;
const megabytes = 16;

/** Writes the file again and again, each time full of another number. */
const writer = (path: string): string => `
  import { full, io, scope } from ${JSON.stringify(engine)};
  for (let n = 1; ; n++) {
    scope(() => io.writeSafetensors(${JSON.stringify(path)}, new Map([["x", full([${megabytes}, 2 ** 18], n)]])));
    process.stdout.write(n + "\\n");
  }`;

test("killed at any moment, a file is whole: the last one or the one before", async () => {
  const path = join(folder, "killed.safetensors");
  for (let round = 0; round < 6; round++) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", writer(path)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let told = 0;
    const ended = new Promise((resolve) => child.on("close", resolve));
    await new Promise<void>((resolve, reject) => {
      child.on("close", () => reject(new Error("the writer ended by itself")));
      child.stdout.on("data", (text: Buffer) => {
        told = Number(String(text).trim().split("\n").at(-1));
        if (told >= 2) resolve();
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 3 * round));
    child.kill("SIGKILL");
    await ended;
    const values = io.readSafetensors(path).tensors.get("x")?.toTypedArray() as Float32Array;
    expect(values).toHaveLength(megabytes * 2 ** 18);
    expect(values[0]).toBeGreaterThanOrEqual(told);
    expect(values.every((value) => value === values[0])).toBe(true);
  }
  io.removeLeftovers(path);
  expect(readdirSync(folder)).toEqual(["killed.safetensors"]);
}, 120_000);

test("leftovers are those of this file alone", () => {
  const others = ["x.safetensors", "x.safetensors.bak", "y.safetensors.0123456789ab.part", "x.part"];
  const place = mkdtempSync(join(folder, "parts-"));
  for (const name of [...others, "x.safetensors.0123456789ab.part"]) writeFileSync(join(place, name), "");
  io.removeLeftovers(join(place, "x.safetensors"));
  expect(readdirSync(place).sort()).toEqual([...others].sort());
});

test("a disk without room leaves the file that was there, and no part of the new one", () => {
  const path = join(folder, "full.safetensors");
  io.writeSafetensors(path, new Map([["x", full([4], 7)]]));
  // A limit on the size of files stands for the disk's: writing fails in the middle, by the same way.
  const limited = `trap '' XFSZ; ulimit -f 4096; exec "$0" --input-type=module -e "$1"`;
  const { status, stderr } = spawnSync("bash", ["-c", limited, process.execPath, writer(path)], {
    encoding: "utf8",
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(/code: 'FILE'/);
  expect(stderr).toContain(`${path}: cannot be written: EFBIG`);
  expect(io.readSafetensors(path).tensors.get("x")?.tolist()).toEqual([7, 7, 7, 7]);
  expect(readdirSync(folder).filter((name) => name.startsWith("full"))).toEqual(["full.safetensors"]);
});
