// One worker thread: `workerData.task` says what it does. Answers with one message.
import { parentPort, workerData } from "node:worker_threads";

const engine = await import("../../dist/index.js");
const {
  backward,
  fromTypedArray,
  full,
  Generator,
  inferenceMode,
  liveTensors,
  noGrad,
  ones,
  randn,
  scope,
  tensorOp,
  zeros,
} = engine;
const matmul = tensorOp("aten::matmul");
const mul = tensorOp("aten::mul.Tensor");
const sum = tensorOp("aten::sum");
const say = (message) => parentPort.postMessage(message);

/** Minimises |x - target|² by hand, freeing as it goes; returns how far off it ends. */
function descend(target, steps) {
  let x = zeros([8, 8], { requiresGrad: true });
  const step = tensorOp("aten::sub.Tensor");
  for (let i = 0; i < steps; i++) {
    const next = scope(() => {
      const difference = step(x, full([8, 8], target));
      const loss = sum(mul(difference, difference));
      backward(loss);
      const moved = noGrad(() => step(x, mul(x.grad, full([], 0.1))));
      moved.requiresGrad = true;
      return moved;
    });
    x.free();
    x = next;
  }
  const off = Math.abs(x.tolist()[0][0] - target);
  x.free();
  return off;
}

const tasks = {
  compute() {
    const { id } = workerData;
    const off = descend(id + 1, 200);
    const product = scope(() => sum(matmul(full([64, 64], id), ones([64, 64]))).item());
    const one = new Generator(7);
    const draws = scope(() => randn([4], { generator: one }).tolist());
    say({ id, off, product, draws, live: liveTensors().tensors });
  },

  /** Works until it is terminated. */
  forever() {
    const held = Array.from({ length: 50 }, (_, i) => full([100], i));
    say({ started: held.length });
    for (;;) descend(3, 10);
  },

  /** Hands long arrays to the addon until it is terminated, most likely while the addon reads one. */
  lists() {
    const shape = Array(60).fill(1);
    say({ started: true });
    for (;;) fromTypedArray(Float32Array.of(1), shape).free();
  },

  hold() {
    const held = Array.from({ length: 5 }, () => ones([(10 * 2 ** 20) / 4]));
    globalThis.held = held;
    say({ bytes: liveTensors().bytes });
    if (workerData.stay) setInterval(() => held, 1000);
  },

  /** Stays inside noGrad and inferenceMode while the main thread looks at its own modes. */
  modes() {
    const flags = new Int32Array(workerData.flags);
    const inside = noGrad(() =>
      inferenceMode(() => {
        Atomics.store(flags, 0, 1);
        Atomics.notify(flags, 0);
        Atomics.wait(flags, 1, 0, 20_000);
        return mul(ones([1], { requiresGrad: false }), ones([1])).requiresGrad;
      }),
    );
    const x = ones([1], { requiresGrad: true });
    say({ inside, after: mul(x, x).requiresGrad });
  },

  throws() {
    scope(() => {
      ones([100]);
      throw new Error("thrown on purpose");
    });
  },

  exits() {
    scope(() => {
      ones([100]);
      process.exit(3);
    });
  },

  async rank() {
    const { rank, port, round } = workerData;
    const distributed = await import("../../dist/distributed/index.js");
    const where = { rank, worldSize: 2, masterAddr: "127.0.0.1", masterPort: port, timeout: 20 };
    const group = await distributed.init({ ...where, env: {} });
    const x = full([3], rank + 1);
    await group.allReduce(x);
    say({ x: x.tolist() });
    if (!round) return group.destroy();
    try {
      for (;;) await group.allReduce(x, { op: "mean" });
    } catch ({ code, message }) {
      say({ code, message });
    }
    await group.destroy();
  },
};

await tasks[workerData.task]();
