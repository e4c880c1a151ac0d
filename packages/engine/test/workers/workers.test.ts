import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { freePort } from "../distributed/ranks.js";

const script = fileURLToPath(new URL("./main.mjs", import.meta.url));
const built = fileURLToPath(new URL("../../dist/index.js", import.meta.url));

/** Runs one scenario of main.mjs; expects a clean exit and gives what it said. */
async function run(scenario: string, ...args: string[]): Promise<Record<string, unknown>> {
  if (!existsSync(built)) throw new Error(`${built} is missing: build the packages first (npm run build)`);
  const child = spawn(process.execPath, [script, scenario, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stdout.on("data", (bytes) => (output += bytes));
  child.stderr.on("data", (bytes) => (errors += bytes));
  const end = await new Promise((resolve) =>
    child.on("close", (code, signal) => resolve({ code, signal, errors: code === 0 ? "" : errors })),
  );
  expect(end).toEqual({ code: 0, signal: null, errors: "" });
  return JSON.parse(output) as Record<string, unknown>;
}

describe("worker threads", () => {
  test("four train at the same time, each with the right result", async () => {
    const said = await run("compute");
    const results = said.results as {
      id: number;
      off: number;
      product: number;
      draws: number[];
      live: number;
    }[];
    for (const { id, off, product, draws, live } of results) {
      expect(off).toBeLessThan(1e-4);
      expect(product).toBe(id * 64 ** 3);
      expect(draws).toEqual(results[0]?.draws);
      expect(live).toBe(0);
    }
    expect(said.ends).toEqual(Array(4).fill({ code: 0, error: null }));
    expect(said.probe).toBe(3000);
  });

  test("terminated in the middle of their work leave the others whole", async () => {
    expect(await run("terminate")).toEqual({ codes: [1, 1, 1, 1], probe: 3000 });
  });

  test("terminated at any moment, loading included", async () => {
    expect(await run("terminateAnywhere")).toEqual({ probe: 3000 });
  });

  test("a worker that throws or exits inside a scope ends alone", async () => {
    expect(await run("throws")).toEqual({
      thrown: { code: 1, error: "thrown on purpose" },
      exited: { code: 3, error: null },
      probe: 3000,
    });
  });

  test("modes hold for one thread", async () => {
    expect(await run("modes")).toEqual({
      meanwhile: true,
      inside: false,
      after: true,
      end: { code: 0, error: null },
    });
  });

  test("a worker's tensors are freed with it, however it ends", async () => {
    const { before, after, held } = (await run("memory")) as {
      before: number;
      after: number[];
      held: number;
    };
    expect(held).toBe(1500);
    // One worker's tensors at most may still be on their way out.
    expect((after.at(-1) as number) - before).toBeLessThan(150);
  }, 120_000);

  test("the main thread need not load the engine", async () => {
    expect(await run("workerOnly")).toEqual({ ended: true });
    expect(await run("workerOnlyTerminated")).toEqual({ again: 64 ** 3 });
  });

  test("two threads can be two ranks, and one learns that the other was terminated", async () => {
    const said = await run("ranks", String(await freePort()));
    expect(said.sums).toEqual([{ x: [3, 3, 3] }, { x: [3, 3, 3] }]);
    expect(said.ends).toEqual(Array(2).fill({ code: 0, error: null }));
    expect(said.error).toMatchObject({ code: "DISTRIBUTED" });
    expect(said.left).toEqual({ code: 0, error: null });
  });
});

describe("the end of the process", () => {
  const ways = ["alive", "exitInScope", "exitWithWorkers", "endsWithWorkers", "workerOnlyTerminated"];

  // Threads of libtorch that outlive their data would show up as a crash in some runs.
  test.each(ways)("%s: code 0, six times over", async (way) => {
    for (let i = 0; i < 3; i++) await Promise.all([run(way), run(way)]);
  }, 120_000);
});
