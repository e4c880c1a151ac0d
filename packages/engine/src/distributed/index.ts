import { EngineError } from "../errors.js";
import { native } from "../native.js";
import { type Backend, type InitOptions, type Place, placeOf } from "./environment.js";
import { ProcessGroup } from "./group.js";

export type { Backend, InitOptions } from "./environment.js";
export { type CoalescedOptions, ProcessGroup, type ReduceOp } from "./group.js";

let current: ProcessGroup | null = null;
let made = 0;

/** Whether this build of libtorch (and of the addon) can make process groups over `backend`. */
export function isAvailable(backend: Backend = "gloo"): boolean {
  return native.groupSupport(backend) === "";
}

function begin(options: InitOptions): ProcessGroup {
  if (current !== null) {
    throw new EngineError(
      "DISTRIBUTED",
      "distributed.init: this thread already has a process group; await its destroy() before making another",
    );
  }
  const place = placeOf(options);
  const lacking = native.groupSupport(place.backend);
  if (lacking !== "") throw new EngineError("DISTRIBUTED", `distributed.init: ${lacking}`);
  checkDevice(place);
  // A launcher's store outlives groups, and the processes it starts again after a failure.
  const prefix = place.launcherServes ? `sepc/${place.restart}/${made}` : "";
  const group = new ProcessGroup(place, prefix, () => {
    if (current === group) current = null;
  });
  made++;
  current = group;
  return group;
}

function checkDevice({ backend, localRank }: Place): void {
  if (backend !== "nccl") return;
  const devices = native.cudaDeviceCount();
  if (localRank < devices) return;
  throw new EngineError(
    "DISTRIBUTED",
    `distributed.init: "nccl" expected a CUDA device ${localRank} for local rank ${localRank}, found ${devices} ` +
      'device(s); set LOCAL_RANK to this process\'s place on its machine, or use the backend "gloo"',
  );
}

/**
 * Meets the other processes and forms a group with them. Options that are not given come from the environment
 * variables MASTER_ADDR, MASTER_PORT, RANK, WORLD_SIZE and LOCAL_RANK, which torchrun, SLURM scripts and Kubernetes
 * operators set. Rank 0 listens at MASTER_PORT; Gloo opens further ports between all ranks, on the interfaces of
 * GLOO_SOCKET_IFNAME when it is set.
 *
 * The transport neither encrypts nor authenticates: keep it inside a trusted network.
 *
 * @throws EngineError BAD_ARGUMENT for a variable or option that is missing or wrong; DISTRIBUTED when the ranks do not
 *   all come within the time-out, when this thread has a group already, or when this libtorch has no such backend
 */
export async function init(options: InitOptions = {}): Promise<ProcessGroup> {
  const group = begin(options);
  try {
    await group.connect();
    return group;
  } catch (error) {
    await group.destroy();
    throw error;
  }
}

/** As {@link init}, blocking this JavaScript thread. */
export function initSync(options: InitOptions = {}): ProcessGroup {
  const group = begin(options);
  try {
    group.connectSync();
    return group;
  } catch (error) {
    current = null;
    void group.destroy();
    throw error;
  }
}

/** This thread's process group, or null. */
export function currentGroup(): ProcessGroup | null {
  return current;
}
