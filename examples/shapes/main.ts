// Trains a small network to tell circles, squares and triangles apart, on pictures it makes itself.
// node examples/dist/shapes/main.js [--steps 400] [--seed 0]
import { parseArgs } from "node:util";
import {
  backward,
  inferenceMode,
  libtorch,
  manualSeed,
  nn,
  numThreads,
  optim,
  scope,
  type Tensor,
  tensorOp,
} from "@sepc/engine";
import { Progress } from "sepc/progress";
import { CLASSES, makePictures } from "./pictures.js";

const { values } = parseArgs({
  options: { steps: { type: "string", default: "400" }, seed: { type: "string", default: "0" } },
});
const [steps, seed] = [Number(values.steps), Number(values.seed)];
const batch = 64;

const crossEntropy = tensorOp("aten::cross_entropy_loss");
const argmax = tensorOp("aten::argmax");
const equal = tensorOp("aten::eq.Tensor");
const sum = tensorOp("aten::sum");

function block(inChannels: number, outChannels: number): nn.Layer[] {
  return [
    new nn.Conv2d({ inChannels, outChannels, kernelSize: 3, padding: 1, bias: false }),
    new nn.BatchNorm2d({ numFeatures: outChannels }),
    new nn.ReLU(),
    new nn.MaxPool2d({ kernelSize: 2 }),
  ];
}

function train(net: nn.Layer): void {
  const optimizer = new optim.SGD(net.parameters(), { lr: 0.05, momentum: 0.9, weightDecay: 1e-4 });
  const schedule = new optim.Scheduler(optimizer, optim.cosineSchedule(steps));
  const progress = new Progress({ total: steps, label: "training" });
  for (let step = 0; step < steps; step++) {
    const loss = scope(() => {
      const { images, labels } = makePictures(batch, seed + step + 1);
      optimizer.zeroGrad();
      const loss = crossEntropy(net.forward(images), labels);
      backward(loss);
      optimizer.step();
      return loss.item();
    });
    schedule.step();
    progress.advance(1, `loss ${loss.toFixed(4)}`);
  }
  progress.finish();
}

/** Share of unseen pictures whose class is found. */
function accuracy(net: nn.Layer, pictures: number): number {
  return scope(() => {
    const { images, labels } = makePictures(pictures, seed + 1_000_003);
    const found = inferenceMode((): Tensor => argmax(net.forward(images), 1));
    return sum(equal(found, labels)).item() / pictures;
  });
}

manualSeed(seed);
process.stdout.write(
  `libtorch ${libtorch().version}, ${numThreads()} threads; classes: ${CLASSES.join(", ")}\n`,
);
const net = new nn.Sequential(
  ...block(1, 16),
  ...block(16, 32),
  ...block(32, 64),
  new nn.AdaptiveAvgPool2d(1),
  new nn.Flatten(),
  new nn.Linear({ inFeatures: 64, outFeatures: CLASSES.length }),
);
const start = performance.now();
train(net);
const share = accuracy(net.eval() as typeof net, 1000);
process.stdout.write(
  `${steps} steps in ${((performance.now() - start) / 1000).toFixed(1)} s; accuracy on 1000 unseen pictures: ${(100 * share).toFixed(1)} %\n` +
    "Next: read examples/shapes/main.ts, change the network, and run `npm run demo` again;\n" +
    "`npm run bench -- engine` compares the engine with Python PyTorch.\n",
);
