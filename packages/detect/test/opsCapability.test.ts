import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const script = join(import.meta.dirname, "opsCapability.mjs");
const names = ["default", "avx2", "avx512"] as const;

function runWith(capability: string): { capability: string; values: number[]; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    env: { ...process.env, SEPC_CPU_CAPABILITY: capability },
  });
  expect(status, stderr).toBe(0);
  return { ...(JSON.parse(stdout) as { capability: string; values: number[] }), err: stderr };
}

test("every instruction set gives the same values and gradients", () => {
  const [portable, ...others] = names.map(runWith) as [
    ReturnType<typeof runWith>,
    ...ReturnType<typeof runWith>[],
  ];
  expect(portable.capability).toBe("default");
  expect(portable.values.length).toBeGreaterThan(10_000);
  const largest = Math.max(...portable.values.map(Math.abs));
  for (const [i, other] of others.entries()) {
    // A processor that cannot run the set asked for uses a lesser one.
    expect(names.slice(0, i + 2)).toContain(other.capability);
    const worst = Math.max(
      ...other.values.map((value, j) => Math.abs(value - (portable.values[j] as number))),
    );
    expect(worst / largest).toBeLessThan(1e-5);
  }
});

test("an unknown instruction set is named and passed over", () => {
  const { capability, err } = runWith("sse9");
  expect(names).toContain(capability);
  expect(err).toMatch(/SEPC_CPU_CAPABILITY: expected default, avx2 or avx512, got "sse9"/);
});
