import { EngineError, engineError } from "./errors.js";
import { build, native } from "./native.js";
import type { Device } from "./tensor.js";

/** Version and place of the libtorch in use, and how set-up found it. */
export function libtorch(): { version: string; libDir: string; source: string; addon: string } {
  const { libDir, source } = build.libtorch;
  return { version: native.version(), libDir, source, addon: build.addon };
}

/** libtorch's own description of its build and threading. */
export function configuration(): string {
  return native.configuration();
}

/** CUDA devices that can be used; 0 with a CPU build of libtorch. */
export function cudaDeviceCount(): number {
  return native.cudaDeviceCount();
}

/** Waits until the work sent to the device's current stream is done; nothing to do on the CPU. */
export function synchronize(device: Device): void {
  try {
    native.synchronize(device);
  } catch (cause) {
    throw engineError(cause, "synchronize");
  }
}

// OpenMP ends the process where the system will not give it a thread.
const mostThreads = 1024;

/** Threads that one operator may use on the CPU. */
export function numThreads(): number {
  return native.numThreads();
}

export function setNumThreads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads) {
    throw new EngineError(
      "BAD_ARGUMENT",
      `setNumThreads: expected an integer from 1 to ${mostThreads}, got ${threads}`,
    );
  }
  native.setNumThreads(threads);
}

/** When on, operators without a deterministic implementation throw instead of running. */
export function setDeterministic(on: boolean): void {
  native.setDeterministic(on);
}

/**
 * Opens a shared library that registers operators with libtorch (`TORCH_LIBRARY`); `op("its_namespace::name")` then
 * finds them. Opening one twice is allowed.
 * @throws EngineError LIBRARY when it will not load, with the loader's reason.
 */
export function loadLibrary(path: string): void {
  try {
    native.loadLibrary(path);
  } catch (cause) {
    throw new EngineError(
      "LIBRARY",
      `loadLibrary: ${path} would not load: ${(cause as Error).message}. It must be built for libtorch ${native.version()}.`,
      { cause },
    );
  }
}
