import { cudaDeviceCount, type Device, EngineError } from "@sepc/engine";

/**
 * The device of this name (`--device`); the first CUDA device where there is one, else the CPU.
 * @throws EngineError BAD_ARGUMENT when it is no device, or not there
 */
export function deviceOf(wanted: string | undefined): Device {
  const count = cudaDeviceCount();
  if (wanted === undefined) return count > 0 ? "cuda" : "cpu";
  if (wanted === "cpu") return wanted;
  const found = /^cuda(?::(\d+))?$/.exec(wanted);
  if (found === null)
    throw new EngineError("BAD_ARGUMENT", `device: expected cpu, cuda or cuda:N, got "${wanted}"`);
  if (Number(found[1] ?? 0) < count) return wanted as Device;
  const there = count === 0 ? "no CUDA device" : count === 1 ? "cuda:0 alone" : `cuda:0 to cuda:${count - 1}`;
  throw new EngineError(
    "BAD_ARGUMENT",
    `device ${wanted}: this machine and libtorch have ${there} (npx sepc doctor says more)`,
  );
}
