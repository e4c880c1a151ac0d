// The engine against Python PyTorch on the same libtorch: the cost of a call, and ResNet-50.
// npm run bench -- engine [--size 512] [--batch 1] [--rounds 9]
import { parseArgs } from "node:util";
import {
  backward,
  inferenceMode,
  libtorch,
  nn,
  numThreads,
  ones,
  optim,
  rand,
  randint,
  scope,
  type Tensor,
  tensorOp,
} from "@sepc/engine";
import { ResNet } from "sepc/models";
import { Peer, pythonOfSameLibtorch } from "./peer.js";
import { compare, here, report } from "./timer.js";

const { values: options } = parseArgs({
  options: {
    size: { type: "string", default: "512" },
    batch: { type: "string", default: "1" },
    rounds: { type: "string", default: "9" },
  },
});
const [size, batch, rounds] = [Number(options.size), Number(options.batch), Number(options.rounds)];

const add = tensorOp("aten::add.Tensor");
const mean = tensorOp("aten::mean.dim");
const crossEntropy = tensorOp("aten::cross_entropy_loss");

class Classifier extends nn.Module {
  readonly backbone = new ResNet({ depth: 50 });
  readonly fc = new nn.Linear({ inFeatures: 2048, outFeatures: 1000 });

  forward(images: Tensor): Tensor {
    const maps = this.backbone.forward(images);
    return this.fc.forward(mean(maps[3] as Tensor, [2, 3]));
  }
}

const small = ones([2, 2]);
const net = new Classifier();
const frozen = new Classifier().eval();
const optimizer = new optim.SGD(net.parameters(), { lr: 0.01, momentum: 0.9, weightDecay: 1e-4 });
const images = rand([batch, 3, size, size]);
const labels = randint(0, 1000, [batch]);

const calls = 100;
const engine = {
  add: here("engine", () => {
    scope(() => {
      for (let i = 0; i < calls; i++) add(small, small);
    });
  }),
  forward: here("engine", () => scope(() => void inferenceMode(() => frozen.forward(images)))),
  step: here("engine", () =>
    scope(() => {
      optimizer.zeroGrad();
      backward(crossEntropy(net.forward(images), labels));
      optimizer.step();
    }),
  ),
};

/** Multiply-adds of ResNet-50 for a 224×224 image are 4.09 G; they grow with the area. */
const forwardFlops = 2 * 4.09e9 * (size / 224) ** 2 * batch;

async function main(): Promise<void> {
  const python = pythonOfSameLibtorch();
  process.stdout.write(`libtorch ${libtorch().version} (${libtorch().source}), ${numThreads()} threads\n`);
  if (python === null)
    process.stdout.write("no Python with torch on this libtorch: the engine's own times alone\n");
  const script = new URL("../peers/engine.py", import.meta.url).pathname;
  const peer =
    python === null ? null : new Peer(python, script, [String(numThreads()), String(size), String(batch)]);
  const against = (name: string): ReturnType<Peer["contestant"]>[] =>
    peer === null ? [] : [peer.contestant("Python PyTorch", name)];

  const perCall = { ...engine.add, run: async (n: number) => await engine.add.run(n / calls) };
  report(
    "one call: add of two 2x2 tensors, result freed",
    await compare([...against("add"), perCall], { rounds: rounds * 3, repetitions: 20_000 }),
  );
  report(
    `ResNet-50 forward, ${batch} x 3 x ${size} x ${size}`,
    await compare([...against("forward"), engine.forward], { rounds, warmup: 2 }),
  );
  process.stdout.write(`  bound: ${(forwardFlops / 1e9).toFixed(1)} GFLOP\n`);
  report(
    "ResNet-50 training step (forward, backward, SGD)",
    await compare([...against("step"), engine.step], { rounds, warmup: 2 }),
  );
  process.stdout.write(`  bound: ${((3 * forwardFlops) / 1e9).toFixed(1)} GFLOP\n`);
  peer?.stop();
}

await main();
