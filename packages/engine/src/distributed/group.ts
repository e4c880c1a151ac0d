import { check, EngineError } from "../errors.js";
import { native } from "../native.js";
import { Tensor } from "../tensor.js";
import type { Backend, Place } from "./environment.js";

/** What allReduce makes of the ranks' values, element by element. "mean" is for floating point alone. */
export type ReduceOp = "sum" | "mean" | "max" | "min";

export interface CoalescedOptions {
  /** @default "sum" */
  op?: ReduceOp;
  /** Tensors travel together up to this many bytes at a time. @default 25 MiB, as PyTorch's DistributedDataParallel */
  bucketBytes?: number;
}

// native/distributed/group.h has the same numbers.
const Collective = { connect: 0, allReduce: 1, broadcast: 2, allGather: 3, barrier: 4, close: 5 } as const;
const reductions: Readonly<Record<ReduceOp, number>> = { sum: 0, mean: 1, max: 2, min: 3 };
const defaultBucket = 25 * 2 ** 20;

interface Request {
  readonly collective: number;
  readonly tensors: readonly Tensor[];
  readonly reduction?: number;
  readonly root?: number;
  readonly bucketBytes?: number;
}

function fault(cause: unknown): EngineError {
  const { code, message } = cause as { code?: string; message: string };
  return new EngineError((code as EngineError["code"]) ?? "DISTRIBUTED", message, { cause });
}

function handlesOf(what: string, tensors: readonly Tensor[]): number[] {
  check(Array.isArray(tensors), () => `${what}: expected an array of tensors, got ${String(tensors)}`);
  return tensors.map((tensor) => {
    check(tensor instanceof Tensor, () => `${what}: expected a tensor, got ${String(tensor)}`);
    if (tensor.isFreed) throw new EngineError("FREED", `${what}: the tensor has been freed`);
    return tensor.handle;
  });
}

function reductionOf(op: ReduceOp): number {
  check(
    Object.hasOwn(reductions, op),
    () => `allReduce: expected op "sum", "mean", "max" or "min", got ${String(op)}`,
  );
  return reductions[op];
}

function bucketOf({ bucketBytes = defaultBucket }: CoalescedOptions): number {
  check(
    Number.isFinite(bucketBytes) && bucketBytes > 0,
    () => `expected bucketBytes above 0, got ${bucketBytes}`,
  );
  return Math.ceil(bucketBytes);
}

/**
 * Processes that work together, made by `distributed.init`. Every rank must make the same calls in the same order;
 * calls without `Sync` return at once and are carried out one after another on a thread of the group, calls with it
 * block this JavaScript thread until they are done. Tensors may have any strides and be on any device (with "nccl": on
 * `cuda:<localRank>`); gradients do not flow through collectives.
 *
 * Every method throws or rejects with EngineError DISTRIBUTED when a rank is gone, does not answer within the time-out
 * or asks for something else, and after `destroy`. After the first two the group cannot be used any more: destroy it
 * and make a new one on all ranks. It cannot be known then what tensors that were to be written hold.
 */
export class ProcessGroup {
  readonly rank: number;
  readonly worldSize: number;
  /** This process among those of its machine: its GPU. */
  readonly localRank: number;
  readonly backend: Backend;
  /** Seconds. */
  readonly timeout: number;
  readonly #id: number;
  readonly #left: () => void;
  #ending: Promise<void> | undefined;

  /** @internal Starts the group's thread; `left` is called once the group is over. */
  constructor(place: Place, prefix: string, left: () => void) {
    this.rank = place.rank;
    this.worldSize = place.worldSize;
    this.localRank = place.localRank;
    this.backend = place.backend;
    this.timeout = place.timeout;
    this.#left = left;
    this.#id = native.groupCreate({
      backend: place.backend,
      address: place.masterAddr,
      port: place.masterPort,
      rank: place.rank,
      size: place.worldSize,
      device: place.localRank,
      timeout: Math.ceil(place.timeout * 1000),
      check: place.check,
      serve: place.rank === 0 && !place.launcherServes,
      prefix,
      interfaces: place.interfaces,
    });
  }

  #begin(request: Request, wait: boolean): number[] | Promise<number[]> {
    const { collective, tensors, reduction = 0, root = 0, bucketBytes = defaultBucket } = request;
    const what = Object.keys(Collective)[collective] as string;
    if (this.#ending !== undefined && collective !== Collective.close) {
      throw new EngineError("DISTRIBUTED", `${what}: the process group has been destroyed`);
    }
    const handles = handlesOf(what, tensors);
    return native.groupRun(this.#id, collective, handles, reduction, root, bucketBytes, wait);
  }

  async #run(request: Request): Promise<number[]> {
    try {
      return await this.#begin(request, false);
    } catch (cause) {
      throw cause instanceof EngineError ? cause : fault(cause);
    }
  }

  #runSync(request: Request): number[] {
    try {
      return this.#begin(request, true) as number[];
    } catch (cause) {
      throw cause instanceof EngineError ? cause : fault(cause);
    }
  }

  /** @internal Meets the other ranks. */
  async connect(): Promise<void> {
    await this.#run({ collective: Collective.connect, tensors: [] });
  }

  /** @internal */
  connectSync(): void {
    this.#runSync({ collective: Collective.connect, tensors: [] });
  }

  /**
   * Replaces the elements of `tensor` by their sum (or mean, maximum, minimum) over all ranks. With Gloo, float16 and
   * bfloat16 are summed in float32 and rounded once.
   */
  async allReduce(tensor: Tensor, options: { op?: ReduceOp } = {}): Promise<void> {
    await this.allReduceCoalesced([tensor], options);
  }

  /** As {@link allReduce}, blocking. */
  allReduceSync(tensor: Tensor, options: { op?: ReduceOp } = {}): void {
    this.allReduceCoalescedSync([tensor], options);
  }

  /**
   * {@link allReduce} of many tensors, packed into few messages: for the gradients of a data-parallel step, with
   * `{ op: "mean" }`. Tensors of different dtypes travel apart.
   */
  async allReduceCoalesced(tensors: readonly Tensor[], options: CoalescedOptions = {}): Promise<void> {
    await this.#run(this.#reduceRequest(tensors, options));
  }

  /** As {@link allReduceCoalesced}, blocking. */
  allReduceCoalescedSync(tensors: readonly Tensor[], options: CoalescedOptions = {}): void {
    this.#runSync(this.#reduceRequest(tensors, options));
  }

  #reduceRequest(tensors: readonly Tensor[], options: CoalescedOptions): Request {
    const reduction = reductionOf(options.op ?? "sum");
    return { collective: Collective.allReduce, tensors, reduction, bucketBytes: bucketOf(options) };
  }

  /** Replaces the elements of `tensor` by those it has on rank `root`. */
  async broadcast(tensor: Tensor, root = 0): Promise<void> {
    await this.broadcastCoalesced([tensor], root);
  }

  /** As {@link broadcast}, blocking. */
  broadcastSync(tensor: Tensor, root = 0): void {
    this.broadcastCoalescedSync([tensor], root);
  }

  /** {@link broadcast} of many tensors, such as a model's state before training begins. */
  async broadcastCoalesced(tensors: readonly Tensor[], root = 0): Promise<void> {
    await this.#run(this.#broadcastRequest(tensors, root));
  }

  /** As {@link broadcastCoalesced}, blocking. */
  broadcastCoalescedSync(tensors: readonly Tensor[], root = 0): void {
    this.#runSync(this.#broadcastRequest(tensors, root));
  }

  #broadcastRequest(tensors: readonly Tensor[], root: number): Request {
    check(
      Number.isInteger(root) && root >= 0 && root < this.worldSize,
      () => `broadcast: expected a root from 0 to ${this.worldSize - 1}, got ${root}`,
    );
    return { collective: Collective.broadcast, tensors, root };
  }

  /** What `tensor` is on every rank, rank 0 first, as new tensors. Shape and dtype must be the same on all ranks. */
  async allGather(tensor: Tensor): Promise<Tensor[]> {
    const handles = await this.#run({ collective: Collective.allGather, tensors: [tensor] });
    return handles.map((handle) => new Tensor(handle));
  }

  /** As {@link allGather}, blocking; the results belong to the current scope. */
  allGatherSync(tensor: Tensor): Tensor[] {
    const handles = this.#runSync({ collective: Collective.allGather, tensors: [tensor] });
    return handles.map((handle) => new Tensor(handle));
  }

  /** Settles when every rank has called it. */
  async barrier(): Promise<void> {
    await this.#run({ collective: Collective.barrier, tensors: [] });
  }

  /** As {@link barrier}, blocking. */
  barrierSync(): void {
    this.#runSync({ collective: Collective.barrier, tensors: [] });
  }

  /**
   * Leaves the group. The collective under way is let finish (it has its time-out), those that wait behind it reject.
   * Settles when the connections are closed; another group can then be made. Calling it again is allowed.
   */
  destroy(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    await this.#run({ collective: Collective.close, tensors: [] });
    native.groupForget(this.#id);
    this.#left();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }
}
