import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { libtorch } from "@sepc/engine";
import type { Contestant } from "./timer.js";

/** The Python whose torch is the libtorch that the engine uses, or null when there is none. */
export function pythonOfSameLibtorch(): string | null {
  const { libDir } = libtorch();
  const insidePackage = libDir.match(/^(.*)\/lib\/python3[^/]*\/(?:site|dist)-packages\/torch\/lib$/);
  const python = insidePackage ? join(insidePackage[1] as string, "bin", "python3") : "/usr/bin/python3";
  const torch = insidePackage ? libDir : "/usr/lib/python3/dist-packages/torch";
  return existsSync(python) && existsSync(torch) ? python : null;
}

/** A Python program that runs its named benchmarks when told: a line "name repetitions" in, a line of seconds out. */
export class Peer {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #errors = "";

  constructor(python: string, script: string, args: readonly string[] = []) {
    this.#child = spawn(python, [script, ...args]);
    this.#child.stderr.on("data", (chunk) => (this.#errors += chunk));
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async ask(line: string): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    const answer = await this.#lines.next();
    if (answer.done) throw new Error(`the Python peer ended early:\n${this.#errors}`);
    return answer.value;
  }

  contestant(name: string, benchmark: string): Contestant {
    return { name, run: async (repetitions) => Number(await this.ask(`${benchmark} ${repetitions}`)) };
  }

  stop(): void {
    this.#child.stdin.end();
  }
}
