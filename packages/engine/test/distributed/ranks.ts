import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("./rank.mjs", import.meta.url));
const built = fileURLToPath(new URL("../../dist/distributed/index.js", import.meta.url));

/** A port of this machine that nobody listens at. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the child printed, one JSON value a line. */
  readonly said: Record<string, unknown>[];
  readonly errors: string;
  /** Milliseconds from start to end. */
  readonly took: number;
}

export interface Rank {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Settles with the first line that has this key. */
  heard(key: string): Promise<Record<string, unknown>>;
}

function listen(child: ChildProcess): Rank {
  const said: Record<string, unknown>[] = [];
  const waiting: { key: string; resolve: (line: Record<string, unknown>) => void }[] = [];
  let errors = "";
  let rest = "";
  child.stderr?.on("data", (bytes) => (errors += bytes));
  child.stdout?.on("data", (bytes) => {
    const lines = (rest + bytes).split("\n");
    rest = lines.pop() as string;
    for (const line of lines) {
      const value = JSON.parse(line) as Record<string, unknown>;
      said.push(value);
      for (const { key, resolve } of waiting) if (key in value) resolve(value);
    }
  });
  const began = performance.now();
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) =>
      resolve({ code, signal, said, errors, took: performance.now() - began }),
    );
  });
  const heard = (key: string) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const found = said.find((value) => key in value);
      if (found) return resolve(found);
      waiting.push({ key, resolve });
      void ended.then(({ code }) => reject(new Error(`ended with ${code} before "${key}": ${errors}`)));
    });
  return { process: child, ended, heard };
}

/** Starts one process of a group, running a scenario of rank.mjs. */
export function startRank(scenario: string, env: Record<string, string>): Rank {
  if (!existsSync(built)) throw new Error(`${built} is missing: build the packages first (npm run build)`);
  const child = spawn(process.execPath, [script, scenario], {
    env: { ...process.env, OMP_NUM_THREADS: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return listen(child);
}

/** Starts all processes of a group on loopback. */
export async function startRanks(scenario: string, worldSize: number, env: Record<string, string> = {}) {
  const port = String(await freePort());
  return Array.from({ length: worldSize }, (_, rank) =>
    startRank(scenario, {
      MASTER_ADDR: "127.0.0.1",
      MASTER_PORT: port,
      RANK: String(rank),
      WORLD_SIZE: String(worldSize),
      LOCAL_RANK: String(rank),
      ...env,
    }),
  );
}

/** Everything a child said, as one object. */
export function wordsOf(ended: Ended): Record<string, unknown> {
  return Object.assign({}, ...ended.said) as Record<string, unknown>;
}
