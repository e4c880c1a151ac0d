import { check } from "./errors.js";
import { native } from "./native.js";
import { runSync } from "./scope.js";

export interface AutocastOptions {
  /** "cpu" unless told. */
  readonly device?: "cpu" | "cuda" | undefined;
  /** bfloat16 unless told; float16 needs a {@link GradScaler}, and on the CPU is refused. */
  readonly dtype?: "bfloat16" | "float16" | undefined;
  readonly enabled?: boolean | undefined;
}

/**
 * Runs `body` with convolutions and matrix products in `dtype` and what needs the range in float32, as PyTorch's
 * autocast. Nests; the state before comes back when `body` ends or throws. Backward passes belong outside, and so do
 * optimisers' steps: a parameter is converted once for the whole of the outermost body.
 * @throws EngineError BAD_ARGUMENT for another device or dtype; SCOPE_ASYNC when `body` returns a promise.
 */
export function autocast<T>(options: AutocastOptions, body: () => T): T {
  const { device = "cpu", dtype = "bfloat16", enabled = true } = options;
  check(
    device === "cpu" || device === "cuda",
    () => `autocast: expected device "cpu" or "cuda" (all its devices), got ${JSON.stringify(device)}`,
  );
  check(
    dtype === "bfloat16" || (dtype === "float16" && device === "cuda"),
    () =>
      `autocast: expected dtype bfloat16${device === "cuda" ? " or float16" : " on the CPU"}, got ${dtype}`,
  );
  const before = native.setAutocast(device, enabled, dtype, 1);
  try {
    return runSync("autocast", body);
  } finally {
    native.setAutocast(device, before.enabled, before.dtype, -1);
  }
}
