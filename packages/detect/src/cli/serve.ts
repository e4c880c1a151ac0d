import type { Command } from "commander";
import { EngineError } from "../data/errors.js";
import {
  defaultOptions,
  loadModel,
  type RunningServer,
  type ServedModel,
  type ServeOptions,
  startServer,
} from "../serve/index.js";

interface ServeArguments {
  readonly model: string;
  readonly host: string;
  readonly port: number;
  readonly maxBatch: number;
  readonly maxWaitMs: number;
  readonly queue: number;
  readonly maxBytes: number;
  readonly maxPixels: number;
  readonly timeoutS: number;
  readonly score: number;
  readonly leastScore: number;
  readonly threads?: number;
  readonly device?: string;
  readonly log: boolean;
}

const examples = `
Examples:
  npx sepc serve --model model.onnx
  npx sepc serve --model runs/train --host 0.0.0.0 --port 8000 --threads 4
  npx sepc serve --model model.onnx --max-batch 16 --max-wait-ms 10 --queue 128 --timeout-s 10
  curl --data-binary @photo.jpg -H "content-type: image/jpeg" "http://127.0.0.1:8080/v1/detect?score=0.5"

SIGTERM and Ctrl-C refuse new pictures, finish the accepted ones and end with code 0; a second one ends at once.
There is no TLS and no login: between this and the open internet belongs a proxy that has them.`;

/** A whole number within bounds, for the option of that name. */
const whole =
  (name: string, low: number, high: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isInteger(value) && value >= low && value <= high) return value;
    throw new EngineError(
      "BAD_ARGUMENT",
      `${name}: expected a whole number from ${low} to ${high}, got "${text}"`,
    );
  };

const number =
  (name: string, low: number, high: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== "" && value >= low && value <= high) return value;
    throw new EngineError("BAD_ARGUMENT", `${name}: expected a number from ${low} to ${high}, got "${text}"`);
  };

/** "20MB" -> 20e6, "512kB" -> 512e3, "50MP" -> 50e6, "1000000" as it is. */
export const size =
  (name: string, unit: "B" | "P") =>
  (text: string): number => {
    const found = new RegExp(`^(\\d+(?:\\.\\d+)?)\\s*([kMG]?)${unit}?$`, "i").exec(text.trim());
    const factor = { "": 1, k: 1e3, m: 1e6, g: 1e9 }[found?.[2]?.toLowerCase() ?? ""] ?? Number.NaN;
    const value = Math.round(Number(found?.[1]) * factor);
    if (value >= 1) return value;
    throw new EngineError("BAD_ARGUMENT", `${name}: expected a size as 20M${unit}, got "${text}"`);
  };

export function define(command: Command): void {
  const { host, port, maxBatch, maxWaitMs, queue, score, leastScore } = defaultOptions;
  command
    .description("find objects in pictures over HTTP")
    .requiredOption("--model <path>", "file of sepc export (.onnx), run of sepc train, or a checkpoint")
    .option("--host <address>", "where to listen; 0.0.0.0 for every network", host)
    .option("--port <number>", "0 for any free one", whole("--port", 0, 65535), port)
    .option(
      "--max-batch <n>",
      "most pictures in one call of the network",
      whole("--max-batch", 1, 256),
      maxBatch,
    )
    .option(
      "--max-wait-ms <ms>",
      "how long a picture waits for others to share a batch",
      number("--max-wait-ms", 0, 10_000),
      maxWaitMs,
    )
    .option(
      "--queue <n>",
      "most waiting pictures; beyond it answers are 429",
      whole("--queue", 1, 10_000),
      queue,
    )
    .option("--max-bytes <size>", "of a request (default: 20MB)", size("--max-bytes", "B"), 20e6)
    .option("--max-pixels <size>", "of a picture (default: 50MP)", size("--max-pixels", "P"), 50e6)
    .option("--timeout-s <s>", "to arrive, and from then to the answer", number("--timeout-s", 0.1, 3600), 30)
    .option("--score <number>", "least score, unless a request says", number("--score", 0, 1), score)
    .option("--least-score <number>", "lowest a request may say", number("--least-score", 0, 1), leastScore)
    .option("--threads <n>", "of the network; all cores unless told", whole("--threads", 1, 1024))
    .option("--device <name>", "cpu, cuda or cuda:N; what is there unless told")
    .option("--log", "print one line of JSON for each request", false)
    .addHelpText("after", examples)
    .action(async (options: ServeArguments) => {
      process.exitCode = await serve(options);
    });
}

function serveOptions({ timeoutS, log, ...rest }: ServeArguments): Partial<ServeOptions> {
  const { host, port, maxBatch, maxWaitMs, queue, maxBytes, maxPixels, score } = rest;
  return {
    ...{ host, port, maxBatch, maxWaitMs, queue, maxBytes, maxPixels, score },
    leastScore: Math.min(rest.leastScore, score),
    heldBytes: Math.max(defaultOptions.heldBytes, 4 * maxBytes),
    timeoutMs: 1000 * timeoutS,
    log: log ? (line) => void process.stdout.write(`${line}\n`) : undefined,
  };
}

function greet({ url }: RunningServer, { description: { name, classes } }: ServedModel): void {
  const some = classes.slice(0, 8).join(", ");
  const more = classes.length > 8 ? ` and ${classes.length - 8} more` : "";
  process.stdout.write(`${url}  finds ${some}${more} (${name})

  curl --data-binary @photo.jpg -H "content-type: image/jpeg" ${url}/v1/detect
  curl -F a=@one.jpg -F b=@two.jpg "${url}/v1/detect?score=0.5"
  curl --data-binary @photo.jpg -H "content-type: image/jpeg" "${url}/v1/detect?draw=1" -o drawn.jpg
  curl ${url}/metrics

Or open ${url} in a browser. Ctrl-C finishes what was accepted, then ends.
`);
}

/** Waits for a signal, or for a model that is lost for good. */
function untilAsked(lost: Promise<Error>): Promise<Error | null> {
  return new Promise((resolve) => {
    let asked = 0;
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.on(signal, () => {
        if (++asked > 1) process.exit(1);
        process.stderr.write(`${signal}: finishing what was accepted\n`);
        resolve(null);
      });
    void lost.then(resolve);
  });
}

async function serve(options: ServeArguments): Promise<number> {
  // Whoever read the lines may go; the server stays.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const { model: path, device, threads } = options;
  let lose: (error: Error) => void = () => {};
  const lost = new Promise<Error>((resolve) => {
    lose = resolve;
  });
  const model = await loadModel({ path, device: device as "cpu" | undefined, threads }, (error) => {
    process.stderr.write(
      `the model's thread ended${error ? `: ${error.message}` : "; it is loaded again"}\n`,
    );
    if (error !== null) lose(error);
  });
  const server = await startServer(model, serveOptions(options)).catch(async (error) => {
    await model.close();
    throw error;
  });
  greet(server, model);
  const failure = await untilAsked(lost);
  const cut = await server.stop();
  process.stderr.write(cut === 0 ? "stopped\n" : `stopped; ${cut} requests were cut off: time was up\n`);
  return failure === null && cut === 0 ? 0 : 1;
}
