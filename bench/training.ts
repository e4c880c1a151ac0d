// A training step of RetinaNet with ResNet-50 (targets, losses, backward, SGD), its head plain and with SEPC, against the
// same model in Python on the same libtorch: SEPC there is the paper's composition with torchvision's kernel.
// npm run bench -- training [--size 512x512] [--batch 1] [--threads 2] [--rounds 5] [--no-peer]
// Or steps of presets side by side, without a peer, as their schedules have them but for the precision:
// npm run bench -- training --presets retinanet_small_fpn,atss_small_fpn [--precision bfloat16] [--size 480x480] [--batch 4]
import { parseArgs } from "node:util";
import {
  backward,
  fromTypedArray,
  libtorch,
  nn,
  noGrad,
  optim,
  rand,
  scope,
  setNumThreads,
} from "@sepc/engine";
import type * as Flops from "../packages/detect/dist/analysis/flops.js";
import type * as Detectors from "../packages/detect/dist/detectors/index.js";
import type * as Presets from "../packages/detect/dist/presets/index.js";
import type * as Forward from "../packages/detect/dist/train/forward.js";
import { Peer, pythonOfSameLibtorch } from "./peer.js";
import { part } from "./product.js";
import { type Contestant, compare, here, report } from "./timer.js";

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    size: { type: "string", default: "512x512" },
    batch: { type: "string", default: "1" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    peer: { type: "boolean", default: true },
    classes: { type: "string", default: "80" },
    presets: { type: "string" },
    precision: { type: "string", default: "float32" },
  },
});
const [height = 512, width = 512] = options.size.split("x").map(Number);
const [batch, threads, rounds] = [options.batch, options.threads, options.rounds].map(Number) as [
  number,
  number,
  number,
];

const { buildDetector, parseDetector } = (await part("detectors/index")) as typeof Detectors;
const { countFlops } = (await part("analysis/flops")) as typeof Flops;

const { preset } = (await part("presets/index")) as typeof Presets;
const { forwardIn } = (await part("train/forward")) as typeof Forward;

const precision = options.precision === "bfloat16" ? "bfloat16" : "float32";
const configs: Record<string, Detectors.DetectorConfig> = {
  plain: parseDetector({ detector: "retinanet", backbone: { depth: 50 }, tower: { kind: "plain" } }),
  sepc: parseDetector({
    detector: "retinanet",
    backbone: { depth: 50 },
    tower: { kind: "sepc", norm: "integrated" },
  }),
};
const classes = Number(options.classes);

/** Ten objects of all sizes in each picture. */
function truth(): Detectors.Truth {
  const boxes = Array.from({ length: 10 }, (_, i) => {
    const [x, y] = [width * 0.07 * i, height * 0.07 * ((i * 7) % 10)];
    const side = 30 + (Math.min(width, height) * 0.25 * ((i * 3) % 10)) / 10;
    return [x, y, x + side, y + side];
  });
  return {
    boxes: fromTypedArray(Float32Array.from(boxes.flat()), [10, 4]),
    labels: fromTypedArray(
      BigInt64Array.from({ length: 10 }, (_, i) => BigInt(i % classes)),
      [10],
    ),
    ignored: null,
    size: [height, width],
    padded: [height, width],
  };
}

function step(name: string, config: Detectors.DetectorConfig): Contestant {
  const detector = buildDetector(config, classes).train();
  noGrad(() => {
    for (const [parameter, { tensor }] of detector.namedParameters())
      if (parameter.endsWith("conv_offset.weight")) nn.init.normal_(tensor, 0, 0.01);
  });
  const trainable = [...detector.parameters()].filter(({ tensor }) => tensor.requiresGrad);
  const optimizer = new optim.SGD(trainable, { lr: 1e-4, momentum: 0.9 });
  const images = rand([batch, 3, height, width]);
  const truths = Array.from({ length: batch }, truth);
  return here(name, () =>
    scope(() => {
      optimizer.zeroGrad();
      const losses = Object.entries(detector.losses(forwardIn(detector, images, "cpu", precision), truths));
      const total = losses
        .filter(([loss]) => loss.startsWith("loss"))
        .map(([, loss]) => loss)
        .reduce((sum, loss) => sum.add(loss));
      backward(total);
      optimizer.step();
    }),
  );
}

setNumThreads(threads);
process.stdout.write(
  `libtorch ${libtorch().version} (${libtorch().source}), ${threads} threads, ${batch} x 3 x ${options.size}\n`,
);

/** GFLOP of a step, the frozen stages' backward pass included. */
const bound = (config: Detectors.DetectorConfig): string =>
  `${((6 * batch * countFlops(config, { size: [height, width] }).multiplyAdds) / 1e9).toFixed(0)} GFLOP`;

async function besidePeer(): Promise<void> {
  const python = options.peer ? pythonOfSameLibtorch() : null;
  const script = new URL("../peers/training.py", import.meta.url).pathname;
  const peer = python === null ? null : new Peer(python, script, [threads, height, width, batch].map(String));
  if (peer === null) process.stdout.write("without a peer: no Python on this libtorch, or --no-peer\n");
  for (const [name, config] of Object.entries(configs)) {
    const theirs = peer === null ? [] : [peer.contestant(`${name}: Python PyTorch`, `step:${name}`)];
    const timings = await compare([...theirs, step(`${name}: engine`, config)], { rounds, warmup: 1 });
    report(`RetinaNet R-50, ${name} head: training step`, timings);
    process.stdout.write(`  bound: ${bound(config)}\n`);
  }
  peer?.stop();
}

async function ofPresets(names: readonly string[]): Promise<void> {
  const contestants = names.map((name) => step(name, preset(name).model));
  report(`training steps, ${options.precision}`, await compare(contestants, { rounds, warmup: 2 }));
  for (const name of names) process.stdout.write(`  ${name}: ${bound(preset(name).model)}\n`);
}

if (options.presets === undefined) await besidePeer();
else await ofPresets(options.presets.split(","));
