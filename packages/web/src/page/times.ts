import type { EngineReport, Times } from "../protocol.js";
import { byId, facts, make } from "./dom.js";

/** Calls that medians are taken of. */
const remembered = 60;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
}

const stages = [
  ["pixels", "Picture to pixels"],
  ["prepare", "Resize, normalise"],
  ["network", "Network"],
  ["decode", "Boxes, suppression"],
] as const;

const milliseconds = (value: number): string => value.toFixed(value < 10 ? 1 : 0);

/** "Conv 12, Relu 9", most first. */
function operatorsInWords(operators: Readonly<Record<string, number>>): string {
  return Object.entries(operators)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(", ");
}

/** What a person can do about where things run. */
function remarks({ backend, placement }: EngineReport): [string, string][] {
  const onProcessor = placement.find(({ place }) => place === "wasm")?.operators ?? {};
  if (backend !== "webgpu" || !("DeformConv" in onProcessor)) return [];
  return [
    [
      "Deformable kernels",
      "run on the processor: the runtime has none for WebGPU. A model of sepc export --portable keeps them on WebGPU",
    ],
  ];
}

/** How long each stage takes, and what runs where. */
export class TimesPanel {
  #times: Times[] = [];
  #engine: EngineReport | null = null;

  adopt(engine: EngineReport): void {
    this.#engine = engine;
    this.#times = [];
    byId("times").replaceChildren();
    const { backend, threads, reason, adapter, placement, loading } = engine;
    const cores = `${threads} ${threads === 1 ? "thread" : "threads"}`;
    const network = backend === "webgpu" ? "WebGPU" : `wasm, ${cores}`;
    const pairs: [string, string][] = [
      ["Network runs on", `${network}, in a worker: ${reason}`],
      ...(adapter === null ? [] : [["Graphics adapter", adapter] as [string, string]]),
      ...placement.map(({ place, nodes, operators }): [string, string] => [
        `Operators on ${place}`,
        `${nodes}${Object.keys(operators).length > 0 ? `: ${operatorsInWords(operators)}` : ""}`,
      ]),
      ...remarks(engine),
      ["Loading took", `${(loading / 1000).toFixed(1)} s`],
    ];
    byId("places").replaceChildren(...facts(pairs));
  }

  add(times: Times): void {
    this.#times = [...this.#times, times].slice(-remembered);
    const sum = (one: Times): number => stages.reduce((total, [key]) => total + one[key], 0);
    const rows = stages.map(([key, name]) =>
      this.#row(
        name,
        key === "network" ? this.#place : "worker",
        times[key],
        this.#times.map((one) => one[key]),
      ),
    );
    const totals = this.#times.map(sum);
    rows.push(this.#row("All", "", sum(times), totals));
    const count = this.#times.length;
    byId("times-caption").textContent =
      `Milliseconds of each stage, ${count} ${count === 1 ? "picture" : "pictures"}; ${(1000 / median(totals)).toFixed(1)} pictures a second`;
    byId("times").replaceChildren(...rows);
  }

  get #place(): string {
    return this.#engine?.backend === "webgpu" ? "WebGPU" : "wasm";
  }

  #row(name: string, place: string, last: number, all: readonly number[]): HTMLElement {
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      make("td", {}, place),
      make("td", {}, milliseconds(last)),
      make("td", {}, milliseconds(median(all))),
    );
  }
}
