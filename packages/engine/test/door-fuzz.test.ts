import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const script = fileURLToPath(new URL("./door-fuzz/main.mjs", import.meta.url));
const built = fileURLToPath(new URL("../dist/ops/index.js", import.meta.url));

interface Report {
  readonly calls: number;
  readonly refused: number;
  readonly operators: number;
  readonly before: { tensors: number; bytes: number };
  readonly after: { tensors: number; bytes: number };
  readonly rss: number;
  readonly works: { sum: number; gradient: number[][]; pooled: number[][][][] };
}

/** Runs the calls in a process of its own, under a limit of memory so that absurd sizes fail instead of paging. */
async function fuzz(calls: number, seed: number): Promise<Report> {
  if (!existsSync(built)) throw new Error(`${built} is missing: build the packages first (npm run build)`);
  const command = 'ulimit -c 0; ulimit -v 8000000; exec "$0" "$@"';
  const child = spawn("/bin/sh", ["-c", command, process.execPath, script, String(calls), String(seed)], {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    env: { ...process.env, OMP_NUM_THREADS: "1", FUZZ_TRACE: "1" },
  });
  let output = "";
  let errors = "";
  let called = "";
  child.stdio[3]?.on("data", (bytes) => (called = `${called}${bytes}`.slice(-400)));
  child.stdout?.on("data", (bytes) => (output += bytes));
  child.stderr?.on("data", (bytes) => (errors = `${errors}${bytes}`.slice(-4000)));
  const end = await new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal })));
  expect(end, `the last call was of ${called.trim().split("\n").at(-1)}\n${errors}`).toEqual({
    code: 0,
    signal: null,
  });
  return JSON.parse(output) as Report;
}

test("20,000 malformed calls over every public operator: refused or done, nothing leaked, nothing broken", async () => {
  const report = await fuzz(20_000, 1);
  expect(report.operators).toBeGreaterThan(1300);
  expect(report.refused).toBeGreaterThan(report.calls / 4);
  expect(report.refused).toBeLessThan(report.calls);
  expect(report.after).toEqual(report.before);
  expect(report.rss).toBeLessThan(2 ** 30);
  expect(report.works).toEqual({
    sum: 108,
    gradient: [
      [14, 22],
      [18, 26],
    ],
    pooled: [
      [
        [
          [5, 7],
          [13, 15],
        ],
      ],
    ],
  });
}, 600_000);
