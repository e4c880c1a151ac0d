// One process of a group: `node rank.mjs <scenario>`. Says what it saw as JSON, one object a line.
import * as distributed from "../../dist/distributed/index.js";
import { backward, full, inferenceMode, ones, scope, tensor, tensorOp, zeros } from "../../dist/index.js";

const rank = Number(process.env.RANK);
const timeout = Number(process.env.TEST_TIMEOUT ?? 20);
const transpose = tensorOp("aten::transpose.int");
const expand = tensorOp("aten::expand");
const mul = tensorOp("aten::mul.Tensor");
const sum = tensorOp("aten::sum");

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {() => unknown} body @returns {Promise<{ code: string, message: string, ms: number } | null>} */
async function failure(body) {
  const began = performance.now();
  try {
    await body();
    return null;
  } catch (error) {
    return { name: error.name, code: error.code, message: error.message, ms: performance.now() - began };
  }
}

const scenarios = {
  async values() {
    const group = await distributed.init({ timeout });
    say({ is: [group.rank, group.worldSize, group.localRank, group.backend, group.timeout] });
    for (const dtype of JSON.parse(process.env.TEST_DTYPES)) {
      const float = dtype.includes("float");
      const of = () => tensor([rank + 1, 10 * (rank + 1), -rank], { dtype });
      const got = {};
      for (const op of ["sum", "max", "min", ...(float ? ["mean"] : [])]) {
        const x = of();
        await group.allReduce(x, { op });
        got[op] = x.tolist();
      }
      const cast = of();
      await group.broadcast(cast, 1);
      got.broadcast = cast.tolist();
      const gathered = await group.allGather(of());
      got.gather = gathered.map((each) => each.tolist());
      got.dtypes = [cast.dtype, ...gathered.map((each) => each.dtype)];
      say({ [dtype]: got });
    }
    await group.barrier();
    await group.destroy();
  },

  async shapes() {
    const group = await distributed.init({ timeout });
    const base = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const columns = transpose(base, 0, 1);
    await group.allReduce(columns);
    say({ strided: columns.tolist(), base: base.tolist() });
    const view = transpose(full([2, 2], rank), 0, 1);
    await group.broadcast(view, 1);
    say({ view: view.tolist() });
    const scalar = tensor(rank + 0.5);
    await group.allReduce(scalar);
    const empty = zeros([0, 3]);
    await group.allReduce(empty);
    const [first, second] = await group.allGather(transpose(mul(base, tensor(rank)), 0, 1));
    say({ scalar: scalar.item(), empty: empty.shape, first: first.tolist(), second: second.tolist() });
    const bool = tensor([rank === 0, true, false], { dtype: "bool" });
    const all = tensor([rank === 0, true, false], { dtype: "bool" });
    await group.allReduce(bool, { op: "max" });
    await group.allReduce(all, { op: "min" });
    const [, other] = await group.allGather(tensor([rank === 1], { dtype: "bool" }));
    say({ any: bool.tolist(), all: all.tolist(), other: other.tolist() });
    const frozen = inferenceMode(() => transpose(ones([2, 3]), 0, 1));
    await group.allReduce(frozen);
    const fromFrozen = inferenceMode(() => group.allGatherSync(frozen));
    say({ frozen: frozen.tolist(), fromFrozen: fromFrozen[1].tolist() });
    say({ expanded: await failure(() => group.allReduce(expand(ones([1]), [3]))) });
    await group.destroy();
  },

  async coalesced() {
    const group = await distributed.init({ timeout });
    const sizes = [[3], [2, 2], [], [0], [5, 1, 2], [300]];
    const mixed = sizes.map((size, i) =>
      full(size, (rank + 1) * (i + 1), { dtype: i % 2 === 0 ? "float32" : "float64" }),
    );
    await group.allReduceCoalesced(mixed, { op: "mean", bucketBytes: 64 });
    say({ mixed: mixed.map((each) => each.tolist()) });
    const state = [full([2], rank, { dtype: "int64" }), full([3], rank)];
    await group.broadcastCoalesced(state, 1);
    say({ state: state.map((each) => each.tolist()) });
    // Data-parallel step: gradients of half the batch each, averaged.
    const weight = ones([3], { requiresGrad: true });
    scope(() => backward(sum(mul(weight, full([3], rank + 1)))));
    const gradient = weight.grad;
    group.allReduceCoalescedSync([gradient], { op: "mean" });
    say({ gradient: weight.grad.tolist() });
    await group.allReduce(weight, { op: "sum" });
    say({ leaf: [weight.tolist(), weight.requiresGrad] });
    await group.destroy();
  },

  async order() {
    const group = distributed.initSync({ timeout });
    const x = ones([1]);
    const waits = Array.from({ length: 20 }, (_, i) =>
      group.allReduce(x, { op: i % 2 === 0 ? "sum" : "mean" }),
    );
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await Promise.all(waits);
    group.allReduceSync(x);
    group.barrierSync();
    clearInterval(timer);
    const y = full([2], rank);
    group.broadcastSync(y, 1);
    const freed = full([1000], rank + 1);
    const pending = group.allGather(freed);
    freed.free();
    const results = scope(() => group.allGatherSync(y).map((each) => each.tolist()));
    say({
      x: x.item(),
      y: y.tolist(),
      results,
      afterFree: (await pending).map((each) => each.tolist()[999]),
    });
    await group.destroy();
  },

  async stale() {
    const group = await distributed.init({ timeout });
    const x = ones([2], { requiresGrad: true });
    const y = mul(x, ones([2]));
    const loss = sum(mul(y, y));
    await group.allReduce(y);
    say({ stale: await failure(() => backward(loss)) });
    await group.destroy();
  },

  async mismatch() {
    const group = await distributed.init({ timeout });
    const shape = await failure(() => group.allReduce(ones([2, rank + 1])));
    const dtype = await failure(() => group.allGather(ones([3], { dtype: rank ? "float64" : "float32" })));
    const call = await failure(() => (rank ? group.barrier() : group.broadcast(ones([1]), 1)));
    const op = await failure(() => group.allReduce(ones([1]), { op: rank ? "max" : "min" }));
    const root = await failure(() => group.broadcast(ones([1]), rank));
    const count = await failure(() => group.allReduceCoalesced(rank ? [ones([4])] : [ones([2]), ones([2])]));
    const x = ones([2]);
    await group.allReduce(x);
    say({ shape, dtype, call, op, root, count, after: x.tolist() });
    await group.destroy();
  },

  async wrong() {
    const group = await distributed.init({ timeout });
    const x = ones([2]);
    x.free();
    say({
      freed: await failure(() => group.allReduce(x)),
      op: await failure(() => group.allReduce(ones([1]), { op: "product" })),
      mean: await failure(() => group.allReduce(ones([1], { dtype: "int64" }), { op: "mean" })),
      bool: await failure(() => group.allReduce(tensor([true], { dtype: "bool" }))),
      root: await failure(() => group.broadcast(ones([1]), 2)),
      tensor: await failure(() => group.broadcast([1, 2])),
      list: await failure(() => group.allReduceCoalesced(ones([1]))),
      bucket: await failure(() => group.allReduceCoalesced([ones([1])], { bucketBytes: 0 })),
      twice: await failure(() => distributed.init({ timeout })),
    });
    await group.barrier();
    await Promise.all([group.destroy(), group.destroy()]);
    say({
      after: await failure(() => group.allReduce(ones([1]))),
      afterSync: await failure(() => group.barrierSync()),
      current: distributed.currentGroup(),
    });
  },

  async killed() {
    const group = await distributed.init({ timeout });
    await group.barrier();
    if (rank === 1) {
      say({ ready: true });
      await sleep(60_000);
    }
    const x = ones([1 << 20]);
    say({ waiting: true });
    const first = await failure(() => group.allReduce(x));
    const second = await failure(() => group.barrier());
    await group.destroy();
    say({ first, second });
  },

  async killedMiddle() {
    const group = await distributed.init({ timeout });
    const x = ones([1 << 18]);
    let rounds = 0;
    const error = await failure(async () => {
      for (;;) {
        if (process.env.TEST_SYNC) group.allReduceSync(x, { op: "mean" });
        else await group.allReduce(x, { op: "mean" });
        if (++rounds === 5) say({ going: true });
      }
    });
    await group.destroy();
    say({ error, rounds });
  },

  async stopped() {
    const group = await distributed.init({ timeout });
    await group.barrier();
    if (rank === 1) {
      say({ ready: true });
      await sleep(60_000);
    }
    let turns = 0;
    const timer = setInterval(() => turns++, 20);
    const told = new Promise((resolve) => process.once("SIGUSR2", resolve));
    say({ listening: true });
    await told;
    const error = await failure(() => group.allReduce(ones([1 << 20])));
    clearInterval(timer);
    await group.destroy();
    say({ error, turns });
  },

  async lonely() {
    let turns = 0;
    const timer = setInterval(() => turns++, 20);
    const error = await failure(() => distributed.init({ timeout }));
    clearInterval(timer);
    say({ error, turns, current: distributed.currentGroup() });
  },

  async sequence() {
    const got = [];
    for (let i = 0; i < 5; i++) {
      const group = await distributed.init({ timeout });
      const x = full([2], i + rank);
      await group.allReduce(x);
      got.push(x.tolist()[0]);
      await group.destroy();
    }
    say({ got });
  },

  async recovers() {
    let group = await distributed.init({ timeout });
    if (rank === 1 && !process.env.TEST_AGAIN) {
      const { MASTER_ADDR, MASTER_PORT, RANK, WORLD_SIZE } = process.env;
      say({ env: { MASTER_ADDR, MASTER_PORT, RANK, WORLD_SIZE } });
      say({ ready: true });
      await sleep(60_000);
    }
    const error = process.env.TEST_AGAIN ? null : await failure(() => group.barrier());
    if (error) {
      await group.destroy();
      say({ again: true });
      group = await distributed.init({ timeout });
    }
    const x = ones([1]);
    await group.allReduce(x);
    say({ error, x: x.item() });
    await group.destroy();
  },

  /** Leaves in the way that TEST_LEAVE names, with a group alive and tensors held. */
  async leave() {
    const group = await distributed.init({ timeout });
    const held = [ones([1000]), full([1000], 2)];
    await group.allReduce(held[0]);
    say({ ready: true });
    const how = process.env.TEST_LEAVE;
    if (how === "pending") {
      // Rank 1 never answers: the process must end all the same.
      if (rank === 0) void group.barrier().catch(() => {});
      await sleep(200);
      process.exit(0);
    }
    if (how === "exit") scope(() => ones([4]) && process.exit(0));
    if (how === "destroying") void group.destroy();
    if (how === "throw") throw new Error("thrown on purpose");
  },
};

await scenarios[process.argv[2]]();
