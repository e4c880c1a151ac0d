// A process of its own for each scenario: `node main.mjs <scenario>`. Says what it saw as one line of JSON.
import { Worker } from "node:worker_threads";

const scenario = process.argv[2];
const engine = scenario.startsWith("workerOnly") ? null : await import("../../dist/index.js");
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const url = new URL("./worker.mjs", import.meta.url);

function start(task, more = {}) {
  const worker = new Worker(url, { workerData: { task, ...more } });
  const messages = [];
  const waiting = [];
  worker.on("message", (message) => (waiting.shift() ?? ((value) => messages.push(value)))(message));
  const next = () =>
    messages.length > 0 ? messages.shift() : new Promise((resolve) => waiting.push(resolve));
  const ended = new Promise((resolve) => {
    let error = null;
    worker.on("error", (cause) => (error = cause.message));
    worker.on("exit", (code) => resolve({ code, error }));
  });
  return { worker, next, ended };
}

/** A sum that must come out right whatever the workers do. */
function probe() {
  const { full, scope, tensorOp } = engine;
  return scope(() => tensorOp("aten::sum")(full([1000], 3)).item());
}

const megabytes = () => Math.round(process.memoryUsage().rss / 2 ** 20);

const scenarios = {
  async compute() {
    const workers = [0, 1, 2, 3].map((id) => start("compute", { id }));
    const timer = setInterval(probe, 1);
    const results = await Promise.all(workers.map((each) => each.next()));
    const ends = await Promise.all(workers.map((each) => each.ended));
    clearInterval(timer);
    say({ results, ends, probe: probe() });
  },

  async terminate() {
    const workers = [0, 1, 2, 3].map(() => start("forever"));
    await Promise.all(workers.map((each) => each.next()));
    await sleep(100);
    const codes = await Promise.all(workers.map((each) => each.worker.terminate()));
    say({ codes, probe: probe() });
  },

  /** Workers cut off at any moment: while they load the engine, make tensors, differentiate. */
  async terminateAnywhere() {
    for (let i = 0; i < 16; i++) {
      const pair = [start("forever"), start("lists")];
      await sleep(12 * i);
      for (const { worker } of pair) await worker.terminate();
    }
    say({ probe: probe() });
  },

  async throws() {
    const [thrown, exited] = [start("throws"), start("exits")];
    say({ thrown: await thrown.ended, exited: await exited.ended, probe: probe() });
  },

  async modes() {
    const { ones, tensorOp } = engine;
    const flags = new SharedArrayBuffer(8);
    const worker = start("modes", { flags });
    const view = new Int32Array(flags);
    while (Atomics.load(view, 0) === 0) await sleep(5);
    const x = ones([1], { requiresGrad: true });
    const meanwhile = tensorOp("aten::mul.Tensor")(x, x).requiresGrad;
    Atomics.store(view, 1, 1);
    Atomics.notify(view, 1);
    const said = await worker.next();
    say({ meanwhile, ...said, end: await worker.ended });
  },

  /** 30 workers in turn that hold 50 MB each, half of them terminated, half left to end. */
  async memory() {
    probe();
    const before = megabytes();
    let held = 0;
    const after = [];
    for (let i = 0; i < 30; i++) {
      const stay = i % 2 === 0;
      const each = start("hold", { stay });
      held += (await each.next()).bytes;
      if (stay) await each.worker.terminate();
      else await each.ended;
      after.push(megabytes());
    }
    say({ before, after, held: Math.round(held / 2 ** 20) });
  },

  async workerOnly() {
    for (let i = 0; i < 3; i++) {
      const each = start("compute", { id: i });
      await each.next();
      await each.ended;
    }
    say({ ended: true });
  },

  async workerOnlyTerminated() {
    const each = start("forever");
    await each.next();
    await each.worker.terminate();
    const again = start("compute", { id: 1 });
    say({ again: (await again.next()).product });
  },

  async ranks() {
    const port = Number(process.argv[3]);
    const both = [0, 1].map((rank) => start("rank", { rank, port }));
    const sums = await Promise.all(both.map((each) => each.next()));
    const ends = await Promise.all(both.map((each) => each.ended));
    const more = [0, 1].map((rank) => start("rank", { rank, port, round: true }));
    await Promise.all(more.map((each) => each.next()));
    await more[1].worker.terminate();
    const error = await more[0].next();
    say({ sums, ends, error, left: await more[0].ended });
  },

  /** Leaves with tensors, generators, gradients and modes alive. */
  async alive() {
    const { backward, Generator, ones, randn, tensorOp } = engine;
    const x = ones([200, 200], { requiresGrad: true });
    const product = tensorOp("aten::matmul")(x, x);
    backward(tensorOp("aten::sum")(product));
    globalThis.held = [x, product, x.grad, new Generator(3), randn([10]), x.grad.shareTypedArray()];
    say({ alive: true });
  },

  async exitInScope() {
    const { ones, scope, noGrad } = engine;
    scope(() =>
      noGrad(() => {
        ones([1000]);
        say({ leaving: true });
        process.exit(0);
      }),
    );
  },

  async exitWithWorkers() {
    const workers = [0, 1].map(() => start("forever"));
    await Promise.all(workers.map((each) => each.next()));
    globalThis.held = engine.ones([1000]);
    say({ leaving: true });
    process.exit(0);
  },

  async endsWithWorkers() {
    const workers = [start("forever"), start("hold", { stay: true })];
    await Promise.all(workers.map((each) => each.next()));
    for (const { worker } of workers) worker.unref();
    say({ leaving: true });
  },
};

await scenarios[scenario]();
