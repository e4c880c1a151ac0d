import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { REQUIRED_OPERATORS } from "./requiredOperators.js";

export { REQUIRED_OPERATORS };

/** What is installed, how fast it is, and what to do about it. */
export interface Diagnosis {
  readonly node: string;
  readonly platform: string;
  /** Null when the addon did not load. */
  readonly libtorch: {
    readonly version: string;
    readonly source: string;
    readonly libDir: string;
    readonly addon: string;
  } | null;
  readonly machine: Machine | null;
  /** What keeps the engine from working. */
  readonly problems: readonly string[];
  /** What would make it faster. */
  readonly advice: readonly string[];
}

export interface Machine {
  readonly cores: number;
  readonly threads: number;
  readonly cudaDevices: number;
  /** "OpenBLAS", "reference BLAS" ...: the library that matrix products run on. */
  readonly blas: string;
  /** 2048 × 2048 float32, 10^9 floating-point operations a second. */
  readonly productGflops: number;
  /** 3×3, 256 to 256 channels, 100 × 100 cells. */
  readonly convolutionGflops: number;
  /** The same convolution in bfloat16: several times as fast where the processor has units for it (AMX, AVX-512). */
  readonly bfloat16ConvolutionGflops: number;
  readonly missingOperators: readonly string[];
}

type Engine = typeof import("./index.js");

function medianSeconds(body: () => void, budget: number): number {
  body();
  const times: number[] = [];
  for (
    const start = performance.now();
    times.length < 3 || (performance.now() - start < budget && times.length < 15);
  ) {
    const before = performance.now();
    body();
    times.push((performance.now() - before) / 1000);
  }
  times.sort((a, b) => a - b);
  return times[times.length >> 1] as number;
}

const BLAS_LIBRARIES: readonly (readonly [RegExp, string])[] = [
  [/libopenblas|openblas-(pthread|openmp|serial)/, "OpenBLAS"],
  [/libmkl_|libmkl/, "MKL"],
  [/libblis/, "BLIS"],
  [/\/blas\/libblas\.so/, "reference BLAS"],
];

/** The BLAS in use: what is mapped into the process, else what libtorch says it was built with. */
function findBlas(configuration: string): string {
  if (process.platform === "darwin") return "Accelerate";
  if (/BLAS_INFO=mkl/.test(configuration)) return "MKL";
  if (process.platform === "linux") {
    const maps = readFileSync("/proc/self/maps", "utf8");
    const found = BLAS_LIBRARIES.find(([pattern]) => pattern.test(maps));
    if (found) return found[1];
  }
  return /BLAS_INFO=(\w+)/.exec(configuration)?.[1] ?? "unknown";
}

/** 3×3 convolution, 256 to 256 channels, of a square map; in 10^9 operations a second. */
function convolutionRate(engine: Engine, dtype: "float32" | "bfloat16", side: number): number {
  const { ops, rand, scope, tensorOp } = engine;
  const conv2d = tensorOp("aten::conv2d");
  const channels = 256;
  return scope(() => {
    const image = ops.to(rand([1, channels, side, side]), { dtype });
    const weight = ops.to(rand([channels, channels, 3, 3]), { dtype });
    const seconds = medianSeconds(() => scope(() => void conv2d(image, weight, null, 1, 1)), 800);
    return (2 * channels ** 2 * 9 * side ** 2) / seconds / 1e9;
  });
}

/** Processors without units for bfloat16 emulate it so slowly that the whole map would take minutes. */
function bfloat16Rate(engine: Engine): number {
  const onFewCells = convolutionRate(engine, "bfloat16", 12);
  return onFewCells < 5 ? onFewCells : convolutionRate(engine, "bfloat16", 100);
}

function productRate(engine: Engine): number {
  const { rand, scope, tensorOp } = engine;
  const matmul = tensorOp("aten::mm");
  const size = 2048;
  return scope(() => {
    const matrix = rand([size, size]);
    const seconds = medianSeconds(() => scope(() => void matmul(matrix, matrix)), 800);
    return (2 * size ** 3) / seconds / 1e9;
  });
}

function measure(engine: Engine): Machine {
  const { inferenceMode, hasOp } = engine;
  const rates = inferenceMode(() => ({
    product: productRate(engine),
    convolution: convolutionRate(engine, "float32", 100),
    bfloat16Convolution: bfloat16Rate(engine),
  }));
  return {
    cores: availableParallelism(),
    threads: engine.numThreads(),
    cudaDevices: engine.cudaDeviceCount(),
    blas: findBlas(engine.configuration()),
    productGflops: rates.product,
    convolutionGflops: rates.convolution,
    bfloat16ConvolutionGflops: rates.bfloat16Convolution,
    missingOperators: REQUIRED_OPERATORS.filter((name) => !hasOp(name)),
  };
}

function adviceFor(machine: Machine): string[] {
  const lines: string[] = [];
  if (machine.blas === "reference BLAS") {
    lines.push(
      "matrix products run on the reference BLAS, tens of times slower than they need to be: " +
        "sudo apt-get install --no-install-recommends libopenblas0-pthread",
    );
  }
  if (machine.threads < machine.cores) {
    lines.push(
      `libtorch uses ${machine.threads} of ${machine.cores} cores: unset OMP_NUM_THREADS, or call setNumThreads()`,
    );
  }
  const perThread = machine.productGflops / machine.threads;
  if (perThread < 10 && machine.blas !== "reference BLAS") {
    lines.push(
      `${perThread.toFixed(0)} GFLOP/s a thread is little: is the machine busy, or its clock held down?`,
    );
  }
  return lines;
}

/** Looks at everything, measures for about three seconds; never throws. */
export async function diagnose(): Promise<Diagnosis> {
  const base = { node: process.version, platform: `${process.platform} ${process.arch}` };
  try {
    const engine = await import("./index.js");
    const { libDir, source, version, addon } = engine.libtorch();
    const machine = measure(engine);
    const problems = machine.missingOperators.map(
      (name) => `libtorch ${version} has no operator ${name}; the oldest version that works is 1.13`,
    );
    return {
      ...base,
      libtorch: { version, source, libDir, addon },
      machine,
      problems,
      advice: adviceFor(machine),
    };
  } catch (error) {
    return { ...base, libtorch: null, machine: null, problems: [(error as Error).message], advice: [] };
  }
}
