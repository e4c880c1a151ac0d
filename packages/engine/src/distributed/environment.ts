import { networkInterfaces } from "node:os";
import { check, EngineError } from "../errors.js";

/** "gloo" works everywhere, over TCP by way of the host; "nccl" between NVIDIA GPUs. */
export type Backend = "gloo" | "nccl";

export interface InitOptions {
  /** @default "gloo" */
  backend?: Backend;
  /** This process, from 0. @default the variable RANK */
  rank?: number;
  /** Number of processes. @default the variable WORLD_SIZE */
  worldSize?: number;
  /** This process among those of its machine. @default the variable LOCAL_RANK, else the rank (one machine) */
  localRank?: number;
  /** Host name or address of rank 0. @default the variable MASTER_ADDR */
  masterAddr?: string;
  /** Port at which rank 0 is met. @default the variable MASTER_PORT */
  masterPort?: number;
  /** Seconds that meeting the others and each collective may take. @default 1800, as PyTorch */
  timeout?: number;
  /**
   * Compare what the ranks ask for before each collective (an exchange of 128 bytes), so that different shapes, dtypes
   * or orders of calls end in an error. Without it they end as c10d makes them: wrong values, a time-out, or the end of
   * the process. The same on all ranks. @default true
   */
  check?: boolean;
  /** Where the variables are read, `process.env` unless given. */
  env?: Readonly<Record<string, string | undefined>>;
}

/** Everything a group needs to know, checked. */
export interface Place {
  readonly backend: Backend;
  readonly rank: number;
  readonly worldSize: number;
  readonly localRank: number;
  readonly masterAddr: string;
  readonly masterPort: number;
  /** Seconds. */
  readonly timeout: number;
  readonly check: boolean;
  /** The launcher (torchrun) serves the store where the ranks meet, for several groups in turn. */
  readonly launcherServes: boolean;
  /** How often the launcher started the processes again. */
  readonly restart: string;
  /** Network interfaces for Gloo, from GLOO_SOCKET_IFNAME. */
  readonly interfaces: string[];
}

const longest = 2 ** 31 / 1000;

interface Field {
  readonly option: keyof InitOptions;
  readonly variable: string;
  readonly expected: string;
}

function faultOf(field: Field, came: string): EngineError {
  return new EngineError(
    "BAD_ARGUMENT",
    `distributed.init: expected ${field.variable} (or the option ${field.option}) to be ${field.expected}, ${came}. ` +
      "A launcher such as torchrun sets MASTER_ADDR, MASTER_PORT, RANK, WORLD_SIZE and LOCAL_RANK for each process.",
  );
}

function integer(
  field: Field,
  given: number | undefined,
  text: string | undefined,
  low: number,
  high: number,
): number {
  if (given === undefined && (text === undefined || text === "")) throw faultOf(field, "but it is not set");
  const value = given ?? (/^\d+$/.test(text as string) ? Number(text) : Number.NaN);
  if (!Number.isInteger(value) || value < low || value > high) {
    throw faultOf(field, `got ${given === undefined ? JSON.stringify(text) : String(given)}`);
  }
  return value;
}

function addressOf(given: string | undefined, text: string | undefined): string {
  const field: Field = {
    option: "masterAddr",
    variable: "MASTER_ADDR",
    expected: "the host name or address of rank 0",
  };
  const address = given ?? text;
  if (address === undefined || address.trim() === "") throw faultOf(field, "but it is not set");
  if (/\s/.test(address)) throw faultOf(field, `got ${JSON.stringify(address)}`);
  return address;
}

function ranksOf(options: InitOptions, env: NonNullable<InitOptions["env"]>) {
  const size: Field = { option: "worldSize", variable: "WORLD_SIZE", expected: "a whole number from 1" };
  const worldSize = integer(size, options.worldSize, env.WORLD_SIZE, 1, 2 ** 20);
  const below = `a whole number from 0 to ${worldSize - 1} (world size ${worldSize})`;
  const rank = integer(
    { option: "rank", variable: "RANK", expected: below },
    options.rank,
    env.RANK,
    0,
    worldSize - 1,
  );
  const local: Field = { option: "localRank", variable: "LOCAL_RANK", expected: below };
  const known = options.localRank !== undefined || Boolean(env.LOCAL_RANK);
  const localRank = known ? integer(local, options.localRank, env.LOCAL_RANK, 0, worldSize - 1) : rank;
  return { rank, worldSize, localRank };
}

/** Gloo would end the connecting with a line of its sources. */
function interfacesOf(env: NonNullable<InitOptions["env"]>): string[] {
  const names = (env.GLOO_SOCKET_IFNAME ?? "").split(",").filter((name) => name !== "");
  const known = Object.keys(networkInterfaces());
  const absent = names.find((name) => !known.includes(name));
  check(
    absent === undefined,
    () =>
      `distributed.init: expected GLOO_SOCKET_IFNAME to name network interfaces with an address (${known.join(", ")}), ` +
      `got ${JSON.stringify(absent)}`,
  );
  return names;
}

/**
 * Where this process stands among the others, from options and environment variables.
 * @throws EngineError BAD_ARGUMENT naming the variable that is missing or wrong
 */
export function placeOf(options: InitOptions): Place {
  const { env = process.env, backend = "gloo", timeout = 1800 } = options;
  check(
    backend === "gloo" || backend === "nccl",
    () => `distributed.init: expected backend "gloo" or "nccl", got ${JSON.stringify(backend)}`,
  );
  check(
    Number.isFinite(timeout) && timeout > 0 && timeout < longest,
    () =>
      `distributed.init: expected timeout in seconds, above 0 and below ${Math.floor(longest)}, got ${timeout}`,
  );
  const port: Field = {
    option: "masterPort",
    variable: "MASTER_PORT",
    expected: "a port from 1 to 65535",
  };
  return {
    backend,
    timeout,
    ...ranksOf(options, env),
    masterAddr: addressOf(options.masterAddr, env.MASTER_ADDR),
    masterPort: integer(port, options.masterPort, env.MASTER_PORT, 1, 65535),
    check: options.check ?? true,
    launcherServes: env.TORCHELASTIC_USE_AGENT_STORE === "True",
    restart: env.TORCHELASTIC_RESTART_COUNT ?? "0",
    interfaces: backend === "gloo" ? interfacesOf(env) : [],
  };
}
