import { expect, test } from "vitest";
import {
  backward,
  liveTensors,
  nn,
  optim,
  randint,
  randn,
  scope,
  setNumThreads,
  tensorOp,
} from "../src/index.js";

const crossEntropy = tensorOp("aten::cross_entropy_loss");

test("a training loop of 10,000 steps holds its tensors and its memory flat", { timeout: 300_000 }, () => {
  setNumThreads(1); // a second thread only costs at this size
  const net = new nn.Sequential(
    new nn.Conv2d({ inChannels: 1, outChannels: 4, kernelSize: 3 }),
    new nn.BatchNorm2d({ numFeatures: 4 }),
    new nn.ReLU(),
    new nn.Flatten(),
    new nn.Linear({ inFeatures: 4 * 6 * 6, outFeatures: 3 }),
  );
  const optimizer = new optim.SGD(net.parameters(), { lr: 0.01, momentum: 0.9 });
  const steps = (count: number): void => {
    for (let i = 0; i < count; i++) {
      scope(() => {
        optimizer.zeroGrad();
        backward(crossEntropy(net.forward(randn([2, 1, 8, 8])), randint(0, 3, [2])));
        optim.clipGradNorm_(net.parameters(), 10);
        optimizer.step();
      });
    }
  };
  steps(1000);
  const [tensors, resident] = [liveTensors().tensors, process.memoryUsage.rss()];
  steps(10_000);
  expect(liveTensors().tensors).toBe(tensors);
  expect(process.memoryUsage.rss() - resident).toBeLessThan(40e6);
});
