/** Labels of one series, as { status: "200" }. */
export type Labels = Readonly<Record<string, string>>;

const escaped = (text: string): string =>
  text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");

/** {a="x",b="y"}, or nothing. */
function labelled(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  lines(): string[];
}

/** A number for each set of labels that only grows. */
export class Counter implements Metric {
  readonly type = "counter";
  readonly #values = new Map<string, number>();

  constructor(
    readonly name: string,
    readonly help: string,
  ) {}

  add(labels: Labels = {}, by = 1): void {
    const key = labelled(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  lines(): string[] {
    return [...this.#values].map(([key, value]) => `${this.name}${key} ${value}`);
  }
}

/** What is read when it is asked for. */
export class Gauge implements Metric {
  constructor(
    readonly name: string,
    readonly help: string,
    readonly read: () => number,
    readonly labels: Labels = {},
    readonly type: "gauge" | "counter" = "gauge",
  ) {}

  lines(): string[] {
    return [`${this.name}${labelled(this.labels)} ${this.read()}`];
  }
}

interface Series {
  readonly labels: Labels;
  readonly counts: number[];
  sum: number;
  count: number;
}

/** Counts of observations up to each bound, for each set of labels. */
export class Histogram implements Metric {
  readonly type = "histogram";
  readonly #series = new Map<string, Series>();

  /** @param bounds upper ends of the buckets, rising; one without end follows */
  constructor(
    readonly name: string,
    readonly help: string,
    readonly bounds: readonly number[],
  ) {}

  observe(value: number, labels: Labels = {}): void {
    const key = labelled(labels);
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { labels, counts: this.bounds.map(() => 0), sum: 0, count: 0 };
      this.#series.set(key, series);
    }
    const bucket = this.bounds.findIndex((bound) => value <= bound);
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] as number) + 1;
    series.sum += value;
    series.count++;
  }

  lines(): string[] {
    return [...this.#series.values()].flatMap(({ labels, counts, sum, count }) => {
      let below = 0;
      const buckets = this.bounds.map((bound, i) => {
        below += counts[i] as number;
        return `${this.name}_bucket${labelled({ ...labels, le: String(bound) })} ${below}`;
      });
      return [
        ...buckets,
        `${this.name}_bucket${labelled({ ...labels, le: "+Inf" })} ${count}`,
        `${this.name}_sum${labelled(labels)} ${sum}`,
        `${this.name}_count${labelled(labels)} ${count}`,
      ];
    });
  }
}

/** All metrics in Prometheus's text format, version 0.0.4. */
export function exposition(metrics: readonly Metric[]): string {
  return metrics
    .flatMap((metric) => [
      `# HELP ${metric.name} ${metric.help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}`,
      `# TYPE ${metric.name} ${metric.type}`,
      ...metric.lines(),
    ])
    .map((line) => `${line}\n`)
    .join("");
}
