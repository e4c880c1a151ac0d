// `sepc serve` under load, in a process of its own on this machine: good clients alone, good among bad, more than the
// queue holds, and a stop in the middle. Clients and server share the cores.
// npm run bench -- serve [--model FILE] [--seconds 30] [--rounds 3] [--good 16] [--bad 1] [--crowd 200]
//   [--size 640x480] [--max-batch 8] [--max-wait-ms 5] [--queue 64]
// With --clients 1,2,4,8,16 and --batches 1,8 instead: pictures a second for so many clients at once, each for --seconds.
// Without --model it makes one: shapes, one epoch of retinanet_small_fpn, export.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import sharp from "sharp";
import { badClients, type GoodResult, goodClients, pause, type Target } from "./serveClients.js";

const { values: options } = parseArgs({
  options: {
    model: { type: "string" },
    seconds: { type: "string", default: "30" },
    rounds: { type: "string", default: "3" },
    good: { type: "string", default: "16" },
    bad: { type: "string", default: "1" },
    crowd: { type: "string", default: "200" },
    size: { type: "string", default: "640x480" },
    "max-batch": { type: "string", default: "8" },
    "max-wait-ms": { type: "string", default: "5" },
    queue: { type: "string", default: "64" },
    clients: { type: "string" },
    batches: { type: "string", default: "1,8" },
  },
});
const seconds = Number(options.seconds);
const sepc = fileURLToPath(new URL("../../packages/detect/bin/sepc.mjs", import.meta.url));
const say = (line: string): void => void process.stdout.write(`${line}\n`);

function run(...args: readonly string[]): void {
  const { status, stderr } = spawnSync(process.execPath, [sepc, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`sepc ${args.join(" ")}: ${stderr}`);
}

/** A model of the small preset, trained for as long as it takes to have weights. */
function makeModel(folder: string): string {
  const [data, out, file] = ["data", "run", "model.onnx"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  run(
    "data",
    "synth",
    "--out",
    data,
    "--images",
    "32",
    "--size",
    "320x240",
    "--splits",
    "train=0.75,val=0.25",
  );
  const settings = ["schedule.epochs=1", "schedule.batchSize=8"].flatMap((one) => ["--set", one]);
  run("train", "--preset", "retinanet_small_fpn", "--data", data, "--out", out, "--no-report", ...settings);
  run("export", out, "--out", file);
  return file;
}

/** Pictures with something in them, all of one size, as JPEG. */
function makePictures(width: number, height: number): Promise<Buffer[]> {
  return Promise.all(
    Array.from({ length: 16 }, (_, i) => {
      const side = 40 + 12 * i;
      const shape = sharp({ create: { width: side, height: side, channels: 3, background: "orange" } }).png();
      return shape.toBuffer().then((input) =>
        sharp({
          create: {
            width,
            height,
            channels: 3,
            background: "teal",
            noise: { type: "gaussian", mean: 128, sigma: 20 },
          },
        })
          .composite([{ input, left: 20 * i, top: 8 * i }])
          .jpeg()
          .toBuffer(),
      );
    }),
  );
}

interface Started {
  readonly child: ChildProcess;
  readonly target: Target;
  readonly ended: Promise<number | null>;
  readonly errors: () => string;
}

async function startServer(model: string, maxBatch = options["max-batch"]): Promise<Started> {
  const others = (["max-wait-ms", "queue"] as const).flatMap((name) => [`--${name}`, options[name]]);
  const limits = ["--max-batch", maxBatch, ...others];
  const child = spawn(process.execPath, [sepc, "serve", "--model", model, "--port", "0", ...limits]);
  let [text, errors] = ["", ""];
  child.stderr.on("data", (part: Buffer) => {
    errors += part;
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.on("data", (part: Buffer) => {
      text += part;
      const found = /^http:\S+:(\d+) /m.exec(text);
      if (found !== null) resolve(Number(found[1]));
    });
    void ended.then((code) => reject(new Error(`sepc serve ended with ${code}: ${errors}`)));
  });
  return { child, target: { host: "127.0.0.1", port }, ended, errors: () => errors };
}

async function metricsOf({ host, port }: Target): Promise<(name: string) => number> {
  const text = await (await fetch(`http://${host}:${port}/metrics`)).text();
  return (name) =>
    text
      .split("\n")
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

/** Memory once nothing is under way. */
async function settle(target: Target, name: string): Promise<void> {
  await pause(3000);
  const value = await metricsOf(target);
  const megabytes = (metric: string): string => (value(metric) / 1e6).toFixed(0);
  const missing = value("sepc_pictures_accepted_total") - value("sepc_pictures_total");
  say(
    `  after ${name}: resident ${megabytes("process_resident_memory_bytes")} MB, ` +
      `heap ${megabytes("nodejs_heap_size_used_bytes")} MB, bodies held ${value("sepc_held_bytes")} bytes, ` +
      `connections ${value("sepc_connections") - 1}; accepted pictures without an end: ${missing}`,
  );
}

function describe(name: string, { tally, latencies }: GoodResult, spent: number): void {
  const sorted = [...latencies].sort((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN).toFixed(0);
  say(
    `${name}: ${(latencies.length / spent).toFixed(1)} pictures/s; milliseconds p50 ${at(0.5)}, p90 ${at(0.9)}, ` +
      `p99 ${at(0.99)}, most ${at(1)}; good clients met ${tally}`,
  );
}

/** For so many seconds: good clients, and bad ones beside them. */
async function phase(name: string, target: Target, pictures: readonly Buffer[], good: number, bomb?: Buffer) {
  const start = performance.now();
  const until = (): boolean => performance.now() - start > 1000 * seconds;
  const [result, bad] = await Promise.all([
    goodClients(target, pictures, { count: good, until }),
    bomb === undefined
      ? new Map<string, { toString(): string }>()
      : badClients(target, pictures[0] as Buffer, bomb, { count: Number(options.bad), until }),
  ]);
  describe(name, result, (performance.now() - start) / 1000);
  for (const [kind, tally] of bad) say(`    ${kind.padEnd(24)} ${tally}`);
}

/** SIGTERM in the middle of the load: every request meets an answer, a refusal or no server. */
async function stopUnderLoad(server: Started, pictures: readonly Buffer[]): Promise<void> {
  let [isStopping, isOver] = [false, false];
  const load = goodClients(server.target, pictures, {
    count: Number(options.good),
    until: () => isOver,
    isStopping: () => isStopping,
  });
  await pause(3000);
  const start = performance.now();
  isStopping = true;
  server.child.kill("SIGTERM");
  const code = await server.ended;
  const took = performance.now() - start;
  isOver = true;
  const { tally } = await load;
  say(`SIGTERM under load: exit code ${code} after ${(took / 1000).toFixed(2)} s; good clients met ${tally}`);
  say(`  lost: ${tally.get("lost")}`);
}

/** How throughput moves with the number of clients, one server for each size of batches. */
async function sweep(model: string, pictures: readonly Buffer[], clients: readonly number[]): Promise<void> {
  for (const maxBatch of options.batches.split(",")) {
    const server = await startServer(model, maxBatch);
    const warm = performance.now() + 1500;
    await goodClients(server.target, pictures, { count: 2, until: () => performance.now() > warm });
    for (const count of clients)
      await phase(`batches of up to ${maxBatch}, ${count} clients`, server.target, pictures, count);
    server.child.kill("SIGTERM");
    await server.ended;
  }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "sepc-bench-"));
  let server: Started | undefined;
  try {
    const [width, height] = options.size.split("x").map(Number) as [number, number];
    const pictures = await makePictures(width, height);
    if (options.clients !== undefined) {
      say(`${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)} before; pictures of ${options.size}`);
      await sweep(options.model ?? makeModel(folder), pictures, options.clients.split(",").map(Number));
      return;
    }
    const black = { width: 12_000, height: 12_000, channels: 3 as const, background: "black" };
    const bomb = await sharp({ create: black }).png().toBuffer();
    server = await startServer(options.model ?? makeModel(folder));
    const { target } = server;
    say(`${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)} before; pictures of ${options.size}`);
    const warm = performance.now() + 5000;
    await goodClients(target, pictures, { count: 4, until: () => performance.now() > warm });
    await settle(target, "warm-up");
    await phase(`${options.good} good clients`, target, pictures, Number(options.good));
    await settle(target, "good clients");
    for (let round = 1; round <= Number(options.rounds); round++) {
      await phase(`with bad ones, round ${round}`, target, pictures, Number(options.good), bomb);
      await settle(target, `round ${round}`);
    }
    await phase(`${options.crowd} good clients at once`, target, pictures, Number(options.crowd));
    await settle(target, "the crowd");
    await stopUnderLoad(server, pictures);
    say(`server's errors: ${server.errors().trim().split("\n").join(" | ")}`);
  } finally {
    server?.child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
