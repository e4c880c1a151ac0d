import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { EngineError, engineError } from "./errors.js";

/** One argument or result in an operator's schema. */
export interface SchemaArgument {
  readonly name: string;
  /** libtorch's spelling: "Tensor", "int[]", "float?" ... */
  readonly type: string;
  readonly kwargOnly: boolean;
  readonly hasDefault: boolean;
  /** Of `int[2]`: one number stands for all. */
  readonly length?: number;
  /** The operator writes into this argument. */
  readonly written: boolean;
}

export interface Schema {
  readonly name: string;
  readonly overload: string;
  readonly schema: string;
  readonly arguments: readonly SchemaArgument[];
  readonly returns: readonly SchemaArgument[];
}

export interface ResolvedOperator extends Schema {
  readonly id: number;
}

/** A process group to be, as the addon takes it; `timeout` in milliseconds. */
export interface GroupOptions {
  readonly backend: string;
  readonly address: string;
  readonly port: number;
  readonly rank: number;
  readonly size: number;
  readonly device: number;
  readonly timeout: number;
  readonly check: boolean;
  readonly serve: boolean;
  readonly prefix: string;
  readonly interfaces: readonly string[];
}

/** The addon. Tensors and generators are small integers ("handles"); -1 stands for none. */
export interface Native {
  call(id: number, argumentCount: number): number;
  free(count: number): void;
  leaveToCollector(handle: number): void;
  resolve(name: string): ResolvedOperator | null;
  operatorNames(): string[];
  buffer(): ArrayBuffer;
  growBuffer(cells: number): ArrayBuffer;
  freeOpaque(handle: number): void;

  fromBytes(data: ArrayBufferView, shape: readonly number[], dtype: string): number;
  copyBytes(handle: number): ArrayBuffer;
  shareBytes(handle: number): ArrayBuffer;
  describe(handle: number): void;
  dtype(handle: number): string;
  device(handle: number): string;
  item(handle: number): number | bigint | boolean;
  sameStorage(a: number, b: number): boolean;
  alias(handle: number): number;
  counts(): { tensors: number; bytes: number };

  backward(
    roots: number[],
    gradients: number[],
    retainGraph: boolean,
    createGraph: boolean,
    inputs: number[],
  ): void;
  grad(
    outputs: number[],
    inputs: number[],
    gradOutputs: number[],
    retainGraph: boolean,
    createGraph: boolean,
    allowUnused: boolean,
  ): number[];
  gradientOf(handle: number): number;
  setGradient(handle: number, gradient: number): void;
  setRequiresGrad(handle: number, on: boolean): void;

  setGradEnabled(on: boolean): boolean;
  isGradEnabled(): boolean;
  enterInference(): void;
  leaveInference(): void;
  setAutocast(
    device: string,
    on: boolean,
    dtype: string,
    nesting: 1 | -1,
  ): { enabled: boolean; dtype: string };

  generator(device: string, seed: bigint): number;
  freeGenerator(handle: number): void;
  seedGenerator(handle: number, seed: bigint): void;
  generatorState(handle: number): number;
  setGeneratorState(handle: number, state: number): void;
  defaultGenerator(device: string): number;
  manualSeed(seed: bigint): void;

  version(): string;
  configuration(): string;
  hasCuda(): boolean;
  cudaDeviceCount(): number;
  synchronize(device: string): void;
  numThreads(): number;
  setNumThreads(threads: number): void;
  loadLibrary(path: string): void;
  setDeterministic(on: boolean): void;
  /** Calls `listener` with each distinct warning of libtorch in this thread, after the call that caused it. */
  onWarning(listener: (message: string) => void): void;

  groupSupport(backend: string): string;
  groupCreate(options: GroupOptions): number;
  groupRun(
    group: number,
    collective: number,
    tensors: readonly number[],
    reduction: number,
    root: number,
    bucketBytes: number,
    wait: boolean,
  ): number[] | Promise<number[]>;
  groupForget(group: number): void;
}

/** What set-up wrote down about the addon it built. */
export interface Build {
  readonly addon: string;
  readonly libtorch: {
    readonly root: string;
    readonly libDir: string;
    readonly version: string;
    readonly source: string;
    readonly cuda: boolean;
  };
}

const packageRoot = join(dirname(fileURLToPath(import.meta.url)), "..");

function readBuild(): Build {
  const record = join(packageRoot, "build", "current.json");
  if (!existsSync(record)) {
    throw new EngineError(
      "NO_LIBTORCH",
      `the addon has not been built (no ${record}). Run \`npx sepc setup\` (or \`npx @sepc/engine setup\`): ` +
        "it finds libtorch and builds the addon.",
    );
  }
  return JSON.parse(readFileSync(record, "utf8")) as Build;
}

const cudaLibrary = process.platform === "win32" ? "torch_cuda.dll" : "libtorch_cuda.so";

/**
 * libgomp lets the threads of an operator spin for milliseconds before they sleep. Where another process wants a core
 * too, they spin in its time, and a training step takes several times as long; a thousand rounds cost nothing alone.
 */
function spinBriefly(): void {
  const { env } = process;
  if (env.OMP_WAIT_POLICY === undefined) env.GOMP_SPINCOUNT ??= "1000";
}

/** The CUDA half of libtorch takes a second to load, for nothing where there is no driver. */
function hasGpuDriver(): boolean {
  return process.platform === "win32" || existsSync("/dev/nvidiactl") || existsSync("/dev/dxg");
}

function load(): { native: Native; build: Build } {
  const build = readBuild();
  try {
    spinBriefly();
    const native = createRequire(import.meta.url)(build.addon) as Native;
    if (build.libtorch.cuda && hasGpuDriver()) native.loadLibrary(join(build.libtorch.libDir, cudaLibrary));
    return { native, build };
  } catch (cause) {
    throw new EngineError(
      "NO_LIBTORCH",
      `the addon ${build.addon} for libtorch ${build.libtorch.version} (${build.libtorch.libDir}) would not load: ` +
        `${(cause as Error).message}. Was libtorch moved or upgraded? Run \`npx sepc setup\` to build it again.`,
      { cause },
    );
  }
}

/** Called all the time: they throw nothing, but for `call`, whose errors the door explains. */
const bare = new Set(["call", "free", "leaveToCollector", "describe", "buffer", "growBuffer"]);

/** The addon with errors that are EngineErrors. */
function withEngineErrors(addon: Native): Native {
  const entries = Object.entries(addon as unknown as Record<string, (...given: unknown[]) => unknown>);
  const wrapped = entries.map(([name, body]) => {
    if (bare.has(name)) return [name, body];
    const call = (...given: unknown[]): unknown => {
      try {
        return body(...given);
      } catch (cause) {
        throw engineError(cause);
      }
    };
    return [name, call];
  });
  return Object.fromEntries(wrapped) as Native;
}

/** An object whose every property is the reason why the addon is not there. */
const absent = <T extends object>(reason: EngineError): T =>
  new Proxy({} as T, {
    get() {
      throw reason;
    },
  });

function loadOrSayWhy(): { native: Native; build: Build; reason: EngineError | null } {
  try {
    const { native: addon, build: of } = load();
    return { native: withEngineErrors(addon), build: of, reason: null };
  } catch (reason) {
    if (!(reason instanceof EngineError)) throw reason;
    return { native: absent(reason), build: absent(reason), reason };
  }
}

const loaded = loadOrSayWhy();

/**
 * Why there is no addon; null where there is one. Importing this package must not fail: programs that only run exported
 * models import it too, by way of packages that can train. The first use of a tensor or an operator throws.
 */
export const loadError: EngineError | null = loaded.reason;
export const native: Native = loaded.native;
export const build: Build = loaded.build;

// Some builds of libtorch start with one thread whatever the machine has.
if (loadError === null && !process.env.OMP_NUM_THREADS && !process.env.MKL_NUM_THREADS)
  native.setNumThreads(availableParallelism());
