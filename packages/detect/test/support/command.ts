// The command line as tests use it: in a process of its own, or in this one.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { vi } from "vitest";
import { run } from "../../src/cli/main.js";

/** How a command ended, and what it wrote. */
export interface Outcome {
  /** -1 after a signal. */
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** The command's file. */
export const bin = fileURLToPath(new URL("../../bin/sepc.mjs", import.meta.url));

/** Runs Node in a process of its own. */
export function node(
  args: readonly string[],
  { cwd, env }: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 2 ** 26 };
  return new Promise((resolve) =>
    execFile(process.execPath, [...args], options, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
    ),
  );
}

/** Runs the command in a process of its own. */
export const sepc = (...args: readonly string[]): Promise<Outcome> => node([bin, ...args]);

/** Runs the command in this process: quicker, where the process does not matter. */
export async function sepcHere(...args: string[]): Promise<Outcome> {
  const said = { out: "", err: "" };
  const spies = (["out", "err"] as const).map((end) =>
    vi.spyOn(process[`std${end}`], "write").mockImplementation((text) => {
      said[end] += text;
      return true;
    }),
  );
  try {
    return { code: await run(args), ...said };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
