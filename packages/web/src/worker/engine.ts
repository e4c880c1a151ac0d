import { type OrtModule, type OrtSession, openSession } from "@sepc/core/runtime";
import type { Env } from "onnxruntime-common";
import gpuLoader from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url";
import gpuBinary from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";
import loader from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import binary from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import type { Backend, EngineChoice, EngineReport } from "../protocol.js";
import { readPlacement, withLog } from "./placement.js";

/** More threads than this cost more in waiting than they bring. */
const mostThreads = 8;

interface Adapter {
  readonly name: string;
  /** In software: correct, and many times slower than wasm. */
  readonly software: boolean;
}

/** The part of WebGPU that tells what there is. */
interface Gpu {
  requestAdapter(): Promise<{
    readonly info?: {
      readonly vendor: string;
      readonly architecture: string;
      readonly description: string;
      readonly isFallbackAdapter?: boolean;
    };
    readonly isFallbackAdapter?: boolean;
  } | null>;
}

async function findAdapter(): Promise<Adapter | null> {
  const { gpu } = navigator as { gpu?: Gpu };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (!adapter) return null;
  const { info } = adapter;
  const name = [info?.vendor, info?.architecture, info?.description].filter(Boolean).join(" ");
  const software =
    (info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false) || /swiftshader|llvmpipe/i.test(name);
  return { name: name || "unnamed adapter", software };
}

interface Plan {
  readonly backend: Backend;
  readonly threads: number;
  readonly reason: string;
}

/** @throws Error when WebGPU is asked for and there is none */
function planFor(choice: EngineChoice, adapter: Adapter | null): Plan {
  const cores = navigator.hardwareConcurrency || 1;
  const wanted = choice.threads || Math.min(cores, mostThreads);
  const threads = crossOriginIsolated ? wanted : 1;
  const alone =
    threads === wanted
      ? ""
      : "; one thread, as the server does not isolate the page (headers COOP and COEP): load the page again for more";
  if (choice.backend === "wasm") return { backend: "wasm", threads, reason: `wasm was asked for${alone}` };
  if (choice.backend === "webgpu") {
    if (adapter === null)
      throw new Error(
        "this browser gives no WebGPU adapter: choose Automatic or wasm, or switch WebGPU on in the browser",
      );
    return { backend: "webgpu", threads, reason: `WebGPU was asked for${alone}` };
  }
  if (adapter === null) return { backend: "wasm", threads, reason: `there is no WebGPU here${alone}` };
  if (adapter.software)
    return { backend: "wasm", threads, reason: `WebGPU is only emulated here, wasm is faster${alone}` };
  return { backend: "webgpu", threads, reason: `there is WebGPU${alone}` };
}

/** Each back end is a build of the runtime by itself: only the one in use is fetched. */
async function runtimeOf({ backend, threads }: Plan): Promise<OrtModule & { readonly env: Env }> {
  const gpu = backend === "webgpu";
  const ort = gpu ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web/wasm");
  const urls = gpu ? { wasm: gpuBinary, mjs: gpuLoader } : { wasm: binary, mjs: loader };
  const absolute = (path: string): string => new URL(path, self.location.href).href;
  ort.env.wasm.wasmPaths = { wasm: absolute(urls.wasm), mjs: absolute(urls.mjs) };
  ort.env.wasm.numThreads = threads;
  return ort;
}

async function start(
  plan: Plan,
  model: Uint8Array,
  file: string,
): Promise<{ session: OrtSession; placement: EngineReport["placement"] }> {
  const ort = await runtimeOf(plan);
  const verbose = 0;
  const { result, lines } = await withLog(() =>
    openSession(ort, model, {
      file,
      session: {
        executionProviders: plan.backend === "webgpu" ? ["webgpu", "wasm"] : ["wasm"],
        logSeverityLevel: verbose,
      },
    }),
  );
  return { session: result, placement: readPlacement(lines) };
}

export interface StartedEngine {
  readonly session: OrtSession;
  readonly report: EngineReport;
}

/**
 * Loads a model in the back end that fits.
 * @throws Error in words for a person
 */
export async function startEngine(
  choice: EngineChoice,
  model: Uint8Array,
  file: string,
): Promise<StartedEngine> {
  const from = performance.now();
  const adapter = choice.backend === "wasm" ? null : await findAdapter();
  const plan = planFor(choice, adapter);
  const done = (used: Plan, { session, placement }: Awaited<ReturnType<typeof start>>): StartedEngine => ({
    session,
    report: { ...used, adapter: adapter?.name ?? null, placement, loading: performance.now() - from },
  });
  try {
    return done(plan, await start(plan, model, file));
  } catch (cause) {
    if (plan.backend === "wasm" || choice.backend === "webgpu") throw cause;
    const reason = `WebGPU cannot run this model: ${(cause as Error).message}`;
    const fallback: Plan = { ...plan, backend: "wasm", reason };
    return done(fallback, await start(fallback, model, file));
  }
}
