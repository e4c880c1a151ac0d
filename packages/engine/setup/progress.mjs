// A progress bar with rate and remaining time on a terminal; plain lines now and then elsewhere.

/**
 * @typedef {object} ProgressOptions
 * @property {string} label
 * @property {number} total amount of work, in the unit of `update`; 0 when unknown
 * @property {(amount: number) => string} [show] an amount as text; a plain number by default
 * @property {{ write(text: string): unknown, isTTY?: boolean, columns?: number }} [stream] stderr by default
 * @property {() => number} [now] milliseconds; for tests
 * @property {number} [start] amount done before, by an earlier run: it does not count for the rate
 */

/** Between two redraws of the bar, and between two plain lines. */
const redrawMs = 100;
const plainMs = 10_000;

/** @param {number} bytes @returns {string} "512 kB", "1.42 GB" */
export function showBytes(bytes) {
  for (const [unit, size, digits] of /** @type {const} */ ([
    ["GB", 1e9, 2],
    ["MB", 1e6, 1],
    ["kB", 1e3, 0],
  ])) {
    if (bytes >= size) return `${(bytes / size).toFixed(digits)} ${unit}`;
  }
  return `${Math.round(bytes)} B`;
}

/** @param {number} seconds @returns {string} "8 s", "3 min 20 s", "2 h 5 min" */
export function showDuration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** @param {number} fraction @param {number} width */
function bar(fraction, width) {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * width);
  return `[${"#".repeat(full)}${"-".repeat(width - full)}]`;
}

export class Progress {
  /** @type {Required<ProgressOptions>} */
  #options;
  #began;
  #drawn = Number.NEGATIVE_INFINITY;
  #done;
  #note = "";

  /** @param {ProgressOptions} options */
  constructor(options) {
    this.#options = {
      show: (amount) => String(amount),
      stream: process.stderr,
      now: () => performance.now(),
      start: 0,
      ...options,
    };
    this.#began = this.#options.now();
    this.#done = this.#options.start;
    if (!this.#options.stream.isTTY) this.#drawn = this.#began;
  }

  /** @param {number} done amount of work done so far @param {string} [note] shown at the end of the line */
  update(done, note) {
    this.#done = done;
    if (note !== undefined) this.#note = note;
    const now = this.#options.now();
    if (now - this.#drawn < (this.#options.stream.isTTY ? redrawMs : plainMs)) return;
    this.#drawn = now;
    this.#draw();
  }

  /** Draws the last state and ends the line. @param {string} [note] */
  finish(note) {
    if (note !== undefined) this.#note = note;
    this.#draw();
    if (this.#options.stream.isTTY) this.#options.stream.write("\n");
  }

  /** Takes the bar away, so that a message can be printed. */
  clear() {
    if (this.#options.stream.isTTY) this.#options.stream.write("\r\x1b[K");
  }

  #text() {
    const { label, total, show, now, start } = this.#options;
    const seconds = (now() - this.#began) / 1000;
    const rate = seconds > 0 ? (this.#done - start) / seconds : 0;
    const parts = [total > 0 ? `${show(this.#done)} of ${show(total)}` : show(this.#done)];
    if (rate > 0) parts.push(`${show(rate >= 10 ? Math.round(rate) : Number(rate.toPrecision(2)))}/s`);
    if (total > 0 && this.#done >= total) parts.push(`took ${showDuration(seconds)}`);
    else if (total > 0 && rate > 0) parts.push(`${showDuration((total - this.#done) / rate)} left`);
    if (this.#note) parts.push(this.#note);
    const percent = total > 0 ? `${Math.floor((100 * this.#done) / total)} %` : "";
    return { label, percent, rest: parts.join("  ") };
  }

  #draw() {
    const { stream, total } = this.#options;
    const { label, percent, rest } = this.#text();
    if (!stream.isTTY) {
      stream.write(`${[label, percent, rest].filter(Boolean).join("  ")}\n`);
      return;
    }
    const fixed = `${label}  ${percent.padStart(5)}  ${rest}`;
    const room = (stream.columns ?? 80) - fixed.length - 5;
    const drawing = total > 0 && room >= 8 ? `${bar(this.#done / total, Math.min(30, room))} ` : "";
    const line = `${label}  ${drawing}${percent.padStart(5)}  ${rest}`;
    stream.write(`\r${line.slice(0, (stream.columns ?? 80) - 1)}\x1b[K`);
  }
}
