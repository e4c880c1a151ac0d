import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { hasOp } from "@sepc/engine";
import { REQUIRED_OPERATORS } from "@sepc/engine/doctor";
import { describe, expect, test } from "vitest";
import { trainingAdvice } from "../src/cli/doctor.js";
import { formatDuration, Progress } from "../src/cli/progress.js";
import { sepc } from "./support/command.js";

const root = join(import.meta.dirname, "..", "..", "..");

describe("sepc", () => {
  test("without arguments and with --help lists its commands", async () => {
    for (const args of [[], ["--help"]]) {
      const { code, out } = await sepc(...args);
      expect(code).toBe(0);
      expect(out).toMatch(/setup[\s\S]*doctor/);
    }
  });

  test("suggests the command that was meant, without a stack", async () => {
    const { code, err } = await sepc("docter");
    expect(code).toBe(2);
    expect(err).toMatch(/unknown command 'docter'\n\(Did you mean doctor\?\)/);
    expect(err).not.toContain("    at ");
  });

  test("doctor measures the machine and misses no operator", async () => {
    const { code, out } = await sepc("doctor", "--json");
    const found = JSON.parse(out);
    expect(code).toBe(0);
    expect(found.libtorch.version).toMatch(/^\d+\.\d+/);
    expect(found.machine.productGflops).toBeGreaterThan(0.1);
    expect(found.machine.convolutionGflops).toBeGreaterThan(0.1);
    expect(found.machine.bfloat16ConvolutionGflops).toBeGreaterThan(0);
    const faster = found.machine.bfloat16ConvolutionGflops > 1.5 * found.machine.convolutionGflops;
    expect(found.advice.join("\n").includes("schedule.precision=bfloat16")).toBe(faster);
    expect(found.machine.missingOperators).toEqual([]);
    expect(found.problems).toEqual([]);
  });
});

test("doctor recommends bfloat16 for training only where it is clearly faster", () => {
  const machine = {
    cores: 2,
    threads: 2,
    cudaDevices: 0,
    blas: "OpenBLAS",
    productGflops: 200,
    convolutionGflops: 200,
    missingOperators: [],
  };
  const advise = (bfloat16ConvolutionGflops: number): string[] =>
    trainingAdvice({ ...machine, bfloat16ConvolutionGflops });
  expect(advise(1000)).toEqual([
    "convolutions run 5.0 times as fast in bfloat16 here: train with --set schedule.precision=bfloat16",
  ]);
  expect(advise(290)).toEqual([]);
  expect(advise(1)).toEqual([]);
});

test("doctor knows every operator that the sources resolve by name when they load", () => {
  const sources = ["engine", "detect"].flatMap((name) =>
    (readdirSync(join(root, "packages", name, "src"), { recursive: true }) as string[])
      .filter((file) => file.endsWith(".ts") && !file.endsWith("requiredOperators.ts"))
      .map((file) => readFileSync(join(root, "packages", name, "src", file), "utf8")),
  );
  const calls = sources.flatMap((text) => [
    ...text.matchAll(/^const \w+ = (?:op|tensorOp)\("(aten::[^"]+)"/gm),
  ]);
  const names = new Set(calls.map((match) => match[1] as string));
  expect(names.size).toBeGreaterThan(30);
  expect([...names].filter((name) => !REQUIRED_OPERATORS.includes(name))).toEqual([]);
  expect(REQUIRED_OPERATORS.filter((name) => !hasOp(name))).toEqual([]);
});

describe("progress", () => {
  test("durations as people read them", () => {
    expect([0, 59, 60, 3725, Number.POSITIVE_INFINITY].map(formatDuration)).toEqual([
      "0 s",
      "59 s",
      "1:00",
      "1:02:05",
      "?",
    ]);
  });

  test("a terminal sees one line redrawn, with rate, time left and note", () => {
    const written: string[] = [];
    let time = 0;
    const stream = { isTTY: true, columns: 120, write: (text: string) => written.push(text) };
    const progress = new Progress({ total: 10, label: "training", stream, now: () => time });
    for (let i = 0; i < 5; i++) {
      time += 1000;
      progress.advance(1, "loss 0.5");
    }
    expect(written.at(-1)).toMatch(/^\r.*training .*5\/10 {2}1\.00 steps\/s {2}5 s left {2}loss 0\.5$/);
    expect(written.join("")).not.toContain("\n");
  });

  test("other streams get whole lines, few of them, and the last", () => {
    const written: string[] = [];
    let time = 0;
    const progress = new Progress({
      total: 1000,
      stream: { write: (text: string) => written.push(text) },
      now: () => time,
    });
    for (let i = 0; i < 1000; i++) {
      time += 30;
      progress.advance();
    }
    expect(written.length).toBeLessThan(6);
    expect(written.every((line) => line.endsWith("\n"))).toBe(true);
    expect(written.at(-1)).toContain("1000/1000");
  });
});
