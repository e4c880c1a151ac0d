// Head towers against RetinaNet's plain one, forward (normalisation folded) and training step (forward and backward),
// without predictions; and against the paper's composition in Python with torchvision's kernel.
// npm run bench -- heads [--size 512x512] [--threads 2] [--rounds 7] [--peer-rounds 3] [--no-peer]
import { parseArgs } from "node:util";
import {
  backward,
  inferenceMode,
  libtorch,
  nn,
  noGrad,
  randn,
  scope,
  setNumThreads,
  type Tensor,
} from "@sepc/engine";
import type * as Towers from "../packages/detect/dist/models/necks/towers/index.js";
import type * as FoldBatchNorm from "../packages/detect/dist/ops/foldBatchNorm.js";
import { Peer, pythonOfSameLibtorch } from "./peer.js";
import { part } from "./product.js";
import { type Contestant, compare, here, report } from "./timer.js";

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    size: { type: "string", default: "512x512" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "7" },
    "peer-rounds": { type: "string", default: "3" },
    peer: { type: "boolean", default: true },
  },
});
const [height = 512, width = 512] = options.size.split("x").map(Number);
const [threads, rounds] = [Number(options.threads), Number(options.rounds)];
const channels = 256;

const { buildTower } = (await part("models/necks/towers/index")) as typeof Towers;
const { foldBatchNorm } = (await part("ops/foldBatchNorm")) as typeof FoldBatchNorm;

const configs: Readonly<Record<string, Towers.TowerConfig>> = {
  plain: { kind: "plain" },
  pconv: { kind: "pconv" },
  "pconv + iBN": { kind: "pconv", norm: "integrated" },
  "sepc-lite": { kind: "sepc-lite", norm: "integrated" },
  sepc: { kind: "sepc", norm: "integrated" },
  deformable: { kind: "deformable" },
};

function build(config: Towers.TowerConfig): Towers.Tower {
  const tower = buildTower(config, { channels, levels: 5 });
  // Offsets as after training: zero ones would read neighbouring cells only.
  noGrad(() => {
    for (const [name, { tensor }] of tower.namedParameters())
      if (name.endsWith("conv_offset.weight")) nn.init.normal_(tensor, 0, 0.01);
  });
  return tower;
}

const levels = [3, 4, 5, 6, 7].map((level) => {
  const map = randn([1, channels, Math.ceil(height / 2 ** level), Math.ceil(width / 2 ** level)]);
  map.requiresGrad = true;
  return map;
});

const summed = (maps: readonly Tensor[]): Tensor =>
  maps.map((map) => map.sum()).reduce((sum, own) => sum.add(own));

function forward(name: string): Contestant {
  const tower = foldBatchNorm(build(configs[name] as Towers.TowerConfig));
  return here(name, () => scope(() => void inferenceMode(() => tower.forward(levels))));
}

function step(name: string): Contestant {
  const tower = build(configs[name] as Towers.TowerConfig);
  return here(name, () =>
    scope(() => {
      tower.zeroGrad();
      const { cls, box } = tower.forward(levels);
      backward(summed([...cls, ...box]));
    }),
  );
}

async function againstPython(python: string): Promise<void> {
  const script = new URL("../peers/heads.py", import.meta.url).pathname;
  const peer = new Peer(python, script, [String(threads), String(height), String(width), String(channels)]);
  const peerRounds = { rounds: Number(options["peer-rounds"]), warmup: 1 };
  for (const name of ["sepc-lite", "sepc"]) {
    report(`${name}: forward, against the paper's composition in Python`, [
      ...(await compare(
        [peer.contestant("Python, torchvision's kernel", `forward:${name}`), forward(name)],
        peerRounds,
      )),
    ]);
    report(`${name}: training step, against the paper's composition in Python`, [
      ...(await compare(
        [peer.contestant("Python, torchvision's kernel", `step:${name}`), step(name)],
        peerRounds,
      )),
    ]);
  }
  peer.stop();
}

async function main(): Promise<void> {
  setNumThreads(threads);
  process.stdout.write(
    `libtorch ${libtorch().version} (${libtorch().source}), ${threads} threads, a picture of ${options.size}\n`,
  );
  const names = Object.keys(configs);
  const cells = levels.reduce((sum, { numel }) => sum + numel / channels, 0);
  const flops = (8 * 2 * channels * channels * 9 * cells) / 1e9;
  report("Head towers, forward", await compare(names.map(forward), { rounds, warmup: 1 }));
  process.stdout.write(`  bound: ${flops.toFixed(1)} GFLOP (plain; the others: sepc flops)\n`);
  report("Head towers, training step", await compare(names.map(step), { rounds, warmup: 1 }));
  process.stdout.write(`  bound: ${(3 * flops).toFixed(1)} GFLOP (plain)\n`);
  const python = options.peer ? pythonOfSameLibtorch() : null;
  if (python === null)
    process.stdout.write("without the paper's composition: no Python on this libtorch, or --no-peer\n");
  else await againstPython(python);
}

await main();
