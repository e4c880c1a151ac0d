import type { Placement } from "../protocol.js";

/** onnxruntime's names of what executes a node. */
const places: Readonly<Record<string, string>> = {
  CPUExecutionProvider: "wasm",
  WebGpuExecutionProvider: "WebGPU",
  JsExecutionProvider: "WebGPU",
  XnnpackExecutionProvider: "wasm",
};

/**
 * What onnxruntime's log says of where nodes run: a line with the place and the number of nodes, then one for each node
 * as "Conv (name)".
 */
export function readPlacement(lines: readonly string[]): Placement[] {
  const found: { place: string; nodes: number; operators: Record<string, number> }[] = [];
  for (const line of lines) {
    const head = /node\(?s?\)? placed on \[(\w+)\]\. Number of nodes: (\d+)/i.exec(line);
    if (head !== null) {
      const [, provider, nodes] = head as unknown as [string, string, string];
      found.push({ place: places[provider] ?? provider, nodes: Number(nodes), operators: {} });
      continue;
    }
    const kind = /\]\s+(\w+) \(.*\)\s*$/.exec(line)?.[1];
    const last = found.at(-1);
    if (kind !== undefined && last !== undefined) last.operators[kind] = (last.operators[kind] ?? 0) + 1;
  }
  return found;
}

const methods = ["log", "info", "debug", "warn", "error"] as const;

/** Runs something and catches what it writes to the console, which stays empty. */
export async function withLog<T>(run: () => Promise<T>): Promise<{ result: T; lines: string[] }> {
  const lines: string[] = [];
  const before = methods.map((name) => [name, console[name]] as const);
  for (const name of methods)
    console[name] = (...parts: unknown[]) => {
      lines.push(...parts.join(" ").split("\n"));
    };
  try {
    return { result: await run(), lines };
  } finally {
    for (const [name, method] of before) console[name] = method;
  }
}
