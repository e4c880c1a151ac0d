// Exported models in a headless Chromium, on wasm with one and more threads, against onnxruntime-node on the same files.
// npm run bench -- browser [--models retinanet_small_fpn,retinanet_small_sepc-lite] [--size 320x320] [--threads 1,2] [--rounds 5]
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-node";
import { type Browser, chromium } from "playwright-core";
import { preset } from "sepc";
import type * as Detectors from "../packages/detect/dist/detectors/index.js";
import type * as Export from "../packages/detect/dist/export/exportModel.js";
import { inputOf, part } from "./product.js";
import { type Contestant, compare, report } from "./timer.js";

const { values: options } = parseArgs({
  options: {
    models: { type: "string", default: "retinanet_small_fpn,retinanet_small_sepc-lite" },
    size: { type: "string", default: "320x320" },
    threads: { type: "string", default: "1,2" },
    rounds: { type: "string", default: "5" },
  },
});
const [height = 320, width = 320] = options.size.split("x").map(Number);
const threadCounts = options.threads.split(",").map(Number);
const root = fileURLToPath(new URL("../..", import.meta.url));
const { buildDetector } = (await part("detectors/index")) as typeof Detectors;
const { exportModel } = (await part("export/exportModel")) as typeof Export;

async function exported(name: string): Promise<Uint8Array> {
  const classes = Array.from({ length: 20 }, (_, i) => `class ${i}`);
  const input = inputOf(height, width);
  const network = buildDetector(preset(name).model, classes.length).eval();
  const bytes = await exportModel(network, { name, detector: "retinanet", classes, input });
  network.free();
  return bytes;
}

const types: Readonly<Record<string, string>> = {
  html: "text/html",
  mjs: "text/javascript",
  wasm: "application/wasm",
};

/** A page that has onnxruntime-web and the model, with the headers that threads need. */
async function serve(model: () => Uint8Array): Promise<{ server: Server; address: string }> {
  const page = `<!doctype html><script type="module">
    import * as ort from "/ort/ort.wasm.min.mjs";
    ort.env.wasm.wasmPaths = "/ort/";
    window.start = async (threads, shape) => {
      ort.env.wasm.numThreads = threads;
      const bytes = new Uint8Array(await (await fetch("/model")).arrayBuffer());
      const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => Math.random() - 0.5);
      window.infer = () => session.run({ images: new ort.Tensor("float32", data, shape) });
      await window.infer();
      return crossOriginIsolated;
    };
    window.ready = true;
  </script>`;
  const server = createServer(({ url = "/" }, response) => {
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    const file = join(root, "node_modules", "onnxruntime-web", "dist", url.replace("/ort/", ""));
    response.setHeader("Content-Type", types[url.split(".").at(-1) ?? ""] ?? "text/html");
    if (url === "/") response.end(page);
    else if (url === "/model") response.end(model());
    else if (url.startsWith("/ort/") && existsSync(file)) response.end(readFileSync(file));
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

/** A page of its own for each number of threads: onnxruntime-web settles it with the first session. */
async function wasm(browser: Browser, address: string, threads: number): Promise<Contestant> {
  const page = await browser.newPage();
  await page.goto(address);
  await page.waitForFunction("window.ready");
  const isolated = await page.evaluate(`start(${threads}, [1, 3, ${height}, ${width}])`);
  if (!isolated) throw new Error("the page has no threads: it is not isolated");
  return {
    name: `Chromium, wasm, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    async run(repetitions) {
      const body = `for (let i = 0; i < ${repetitions}; i++) await infer();`;
      const timed = `(async () => { const start = performance.now(); ${body} return performance.now() - start; })()`;
      return ((await page.evaluate(timed)) as number) / 1e3;
    },
  };
}

async function node(model: Uint8Array, threads: number): Promise<Contestant> {
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
  });
  const data = Float32Array.from({ length: 3 * height * width }, () => Math.random() - 0.5);
  const images = new ort.Tensor("float32", data, [1, 3, height, width]);
  return {
    name: `Node, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    async run(repetitions) {
      const start = performance.now();
      for (let i = 0; i < repetitions; i++) await session.run({ images });
      return (performance.now() - start) / 1e3;
    },
  };
}

const places = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];
const executablePath = places.find((path) => path !== undefined && existsSync(path));
if (executablePath === undefined) throw new Error("no Chromium: apt-get install chromium, or set CHROMIUM");

let model: Uint8Array = new Uint8Array();
const { server, address } = await serve(() => model);
// Pages that are not in front would be slowed down by the browser.
const args = ["--no-sandbox", "--disable-renderer-backgrounding", "--disable-background-timer-throttling"];
const browser = await chromium.launch({ executablePath, args });
try {
  process.stdout.write(
    `onnxruntime ${ort.env.versions.node ?? ""}, Chromium ${browser.version()}, load ${loadavg()[0]?.toFixed(1)}\n`,
  );
  for (const name of options.models.split(",")) {
    model = await exported(name);
    const contestants = [
      ...(await Promise.all(threadCounts.map((threads) => node(model, threads)))),
      ...(await Promise.all(threadCounts.map((threads) => wasm(browser, address, threads)))),
    ];
    const rounds = Number(options.rounds);
    report(`${name}, ${options.size}: one picture`, await compare(contestants, { rounds, warmup: 1 }));
  }
} finally {
  await browser.close();
  server.close();
}
