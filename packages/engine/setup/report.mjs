// How set-up speaks: one line a step, with its time; a step that lasts shows on a terminal that it lives.
import { spawn } from "node:child_process";

/** A failure that a person can mend: its message is all they see. */
export class SetupError extends Error {
  /** @override */
  name = "SetupError";
}

const quiet = { on: false };

/** @param {boolean} on only failures and steps that took long are printed */
export function setQuiet(on) {
  quiet.on = on;
}

/** @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Runs one step; prints its name, what it says it did, and the time it took.
 * @param {string} name
 * @param {() => Promise<string | undefined>} body resolves to what was done, or undefined when nothing was missing
 */
export async function step(name, body) {
  const start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  const live = process.stderr.isTTY
    ? setInterval(() => process.stderr.write(`\r  ${name} ... ${seconds()} s`), 200)
    : setInterval(() => say(`  ${name} ... still at it after ${seconds()} s`), 30_000);
  try {
    const done = await body();
    clearInterval(live);
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
    if (done !== undefined) say(`  ${name}: ${done} (${seconds()} s)`);
    else if (!quiet.on) say(`  ${name}: ready`);
  } finally {
    clearInterval(live);
  }
}

/**
 * Runs a program without a shell. Its output is kept and shown only when it fails.
 * @param {string} program @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<string>} its output
 * @throws SetupError with the end of the output
 */
export function run(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32" && program === "npm",
      ...options,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => reject(new SetupError(`${program} would not start: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(output);
      const end = output.trim().split("\n").slice(-25).join("\n");
      reject(
        new SetupError(`\`${program} ${args.join(" ")}\` failed (${signal ?? `exit ${code}`}):\n${end}`),
      );
    });
  });
}
