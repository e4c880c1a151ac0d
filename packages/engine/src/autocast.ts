import { EngineError } from "./errors.js";
import { native } from "./native.js";

export interface AutocastOptions {
  /** "cpu" unless told. */
  readonly device?: "cpu" | "cuda" | undefined;
  /** bfloat16 unless told; float16 needs a {@link GradScaler}, and on the CPU is refused. */
  readonly dtype?: "bfloat16" | "float16" | undefined;
  readonly enabled?: boolean | undefined;
}

/**
 * Runs `body` with convolutions and matrix products in `dtype` and what needs the range in float32, as PyTorch's
 * autocast. Nests; the state before comes back when `body` ends or throws. Backward passes belong outside.
 */
export function autocast<T>(options: AutocastOptions, body: () => T): T {
  const { device = "cpu", dtype = "bfloat16", enabled = true } = options;
  if (device === "cpu" && dtype === "float16") {
    throw new EngineError("BAD_ARGUMENT", "autocast: expected dtype bfloat16 on the CPU, got float16");
  }
  const before = native.setAutocast(device, enabled, dtype, 1);
  try {
    const result = body();
    if (result instanceof Promise) {
      throw new EngineError(
        "SCOPE_ASYNC",
        "autocast: expected a synchronous function, got one that returns a promise",
      );
    }
    return result;
  } finally {
    native.setAutocast(device, before.enabled, before.dtype, -1);
  }
}
