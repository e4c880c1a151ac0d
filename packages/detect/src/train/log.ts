import { appendFileSync, closeSync, existsSync, openSync, readFileSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { EngineError, io } from "@sepc/engine";

/** One line of log.jsonl. */
export type LogEntry = Readonly<Record<string, number | string | boolean | null>> & { readonly kind: string };

// Castagnoli's CRC-32, which TensorBoard's records carry.
const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crcTable[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  crc = (crc ^ 0xffffffff) >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function varint(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) {
      out.push(rest);
      return out;
    }
    out.push((rest % 128) | 128);
  }
}

const lengthDelimited = (field: number, bytes: readonly number[]): number[] => [
  (field << 3) | 2,
  ...varint(bytes.length),
  ...bytes,
];
const text = (value: string): number[] => [...new TextEncoder().encode(value)];

function fixed(tag: number, bytes: 4 | 8, value: number): number[] {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return [tag, ...new Uint8Array(view.buffer)];
}

/** Event { wall_time 1: double, step 2: int64, file_version 3: string, summary 5 { value 1 { tag 1, simple_value 2 } } } */
function event(seconds: number, step: number, scalars: ReadonlyMap<string, number> | null): Uint8Array {
  const head = [...fixed(0x09, 8, seconds), 0x10, ...varint(step)];
  if (scalars === null) return Uint8Array.from([...head, ...lengthDelimited(3, text("brain.Event:2"))]);
  const values = [...scalars].flatMap(([tag, value]) =>
    lengthDelimited(1, [...lengthDelimited(1, text(tag)), ...fixed(0x15, 4, value)]),
  );
  return Uint8Array.from([...head, ...lengthDelimited(5, values)]);
}

/** Length, its checksum, the event, its checksum. */
function record(body: Uint8Array): Uint8Array {
  const out = new Uint8Array(16 + body.length);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(body.length), true);
  view.setUint32(8, maskedCrc(out.subarray(0, 8)), true);
  out.set(body, 12);
  view.setUint32(12 + body.length, maskedCrc(body), true);
  return out;
}

/** Scalars for TensorBoard, in a file of its format. */
export class TensorBoardWriter {
  readonly path: string;
  #file: number | null;

  constructor(folder: string, now = Date.now()) {
    const seconds = Math.floor(now / 1000);
    this.path = join(folder, `events.out.tfevents.${seconds}.${hostname()}`);
    this.#file = openSync(this.path, "a");
    writeSync(this.#file, record(event(now / 1000, 0, null)));
  }

  add(step: number, scalars: ReadonlyMap<string, number>, now = Date.now()): void {
    if (this.#file !== null) writeSync(this.#file, record(event(now / 1000, step, scalars)));
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}

function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as { step: number }).step;
  } catch {
    // Cut short by whatever ended the run.
    return Number.POSITIVE_INFINITY;
  }
}

/** Drops the lines of later steps. */
function cutAfter(file: string, step: number): void {
  const lines = readFileSync(file, "utf8").split("\n");
  const kept = lines.filter((line) => line !== "" && stepOf(line) <= step);
  if (kept.length === lines.length - 1) return;
  io.writeAtomically(file, (write) => write(Buffer.from(kept.map((line) => `${line}\n`).join(""))));
}

/** A run's log: JSON lines for scripts, events for TensorBoard. */
export class RunLog {
  readonly #lines: string;
  readonly #events: TensorBoardWriter;

  /** @param from the step that the run goes on from: what an interrupted one logged beyond it will be logged again */
  constructor(folder: string, from = 0) {
    this.#lines = join(folder, "log.jsonl");
    if (existsSync(this.#lines)) cutAfter(this.#lines, from);
    this.#events = new TensorBoardWriter(folder);
  }

  /** @throws EngineError FILE when it cannot be written, the disk being full say. */
  write(step: number, entry: LogEntry): void {
    try {
      this.#write(step, entry);
    } catch (cause) {
      throw new EngineError("FILE", `${this.#lines}: cannot be written: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  #write(step: number, entry: LogEntry): void {
    appendFileSync(this.#lines, `${JSON.stringify({ ...entry, step, time: new Date().toISOString() })}\n`);
    const scalars = Object.entries(entry).filter(
      (pair): pair is [string, number] => typeof pair[1] === "number" && Number.isFinite(pair[1]),
    );
    this.#events.add(step, new Map(scalars.map(([name, value]) => [`${entry.kind}/${name}`, value])));
  }

  close(): void {
    this.#events.close();
  }
}
