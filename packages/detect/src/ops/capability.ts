import { ownOp } from "./library.js";

const capability = ownOp("cpu_capability");

/**
 * The instruction set that the operators' kernels use: the widest of the processor, or less where the environment
 * variable SEPC_CPU_CAPABILITY (default, avx2 or avx512) said so when the library was first used.
 */
export function cpuCapability(): "default" | "avx2" | "avx512" {
  return capability() as "default" | "avx2" | "avx512";
}
