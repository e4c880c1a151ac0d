/** Where progress is shown: a terminal, or any other stream, which gets plain lines now and then. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

export interface ProgressOptions {
  readonly total: number;
  /** What is counted: "steps", "images". */
  readonly unit?: string | undefined;
  readonly label?: string | undefined;
  readonly stream?: ProgressStream | undefined;
  /** Milliseconds since some start; for tests. */
  readonly now?: (() => number) | undefined;
}

const redrawEvery = 100;
const lineEvery = 10_000;
const barWidth = 24;

/** "1:02:03", "2:05", "7 s" */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

/** A bar with rate and time left, redrawn in place on a terminal; elsewhere a line every ten seconds. */
export class Progress {
  #done = 0;
  #note = "";
  #shown = Number.NEGATIVE_INFINITY;
  readonly #start: number;
  readonly #now: () => number;
  readonly #stream: ProgressStream;

  constructor(readonly options: ProgressOptions) {
    this.#now = options.now ?? (() => performance.now());
    this.#stream = options.stream ?? process.stderr;
    this.#start = this.#now();
  }

  /** Counts on. `note` stands at the end of the line: losses, say. */
  advance(count = 1, note?: string): void {
    this.#done += count;
    if (note !== undefined) this.#note = note;
    const since = this.#now() - this.#shown;
    if (since >= (this.#stream.isTTY ? redrawEvery : lineEvery) || this.#done >= this.options.total)
      this.#show();
  }

  /** Ends the bar's line. */
  finish(): void {
    if (this.#stream.isTTY) this.#stream.write("\n");
  }

  #show(): void {
    this.#shown = this.#now();
    const line = this.line();
    if (!this.#stream.isTTY) {
      this.#stream.write(`${line}\n`);
      return;
    }
    this.#stream.write(`\r\x1b[K${line.slice(0, Math.max(20, (this.#stream.columns ?? 100) - 1))}`);
  }

  /** The line as it would be shown now. */
  line(): string {
    const { total, unit = "steps", label = "" } = this.options;
    const seconds = (this.#now() - this.#start) / 1000;
    const share = total > 0 ? Math.min(1, this.#done / total) : 1;
    // A moment after the start, a rate would be of the clock.
    const rate = seconds >= 0.2 ? this.#done / seconds : Number.NaN;
    const full = Math.round(share * barWidth);
    const bar = "█".repeat(full) + "░".repeat(barWidth - full);
    const left =
      this.#done >= total ? formatDuration(seconds) : `${formatDuration((total - this.#done) / rate)} left`;
    const speed = Number.isNaN(rate) ? "?" : rate >= 10 ? rate.toFixed(0) : rate.toFixed(2);
    const parts = [label, bar, `${this.#done}/${total}`, `${speed} ${unit}/s`, left, this.#note];
    return parts.filter((part) => part !== "").join("  ");
  }
}
