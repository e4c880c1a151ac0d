import { backward, manualSeed, nn, noGrad, ops, randn, scope, type Tensor } from "@sepc/engine";
import { expect, test } from "vitest";
import { convBatchNorm } from "../../src/models/layers/convBatchNorm.js";

const options = { dtype: "float64" } as const;
const largest = (a: Tensor, b: Tensor): number => Number(a.sub(b).abs().max().item());

/** A convolution and its normalisation, with statistics as if trained. */
function pair(groups: number, affine: boolean): { conv: nn.Conv2d; bn: nn.BatchNorm2d } {
  const shape = { inChannels: 8, outChannels: 12, kernelSize: 3, stride: 2, padding: 1, groups };
  const conv = new nn.Conv2d({ ...shape, bias: false, ...options });
  const bn = new nn.BatchNorm2d({ numFeatures: 12, affine, ...options });
  noGrad(() =>
    scope(() => {
      for (const [name, value] of bn.stateDict())
        if (name !== "num_batches_tracked") value.copy_(ops.exp(randn(value.shape, options).mul(0.5)));
    }),
  );
  return { conv, bn: bn.eval() as nn.BatchNorm2d };
}

test.each([
  [1, true],
  [4, true],
  [1, false],
])("running statistics: values and gradients as one after the other, %s groups, affine %s", (groups, affine) => {
  scope(() => {
    manualSeed(4);
    const { conv, bn } = pair(groups, affine);
    const images = [0, 1].map(() => randn([2, 8, 9, 7], { ...options, requiresGrad: true }));
    noGrad(() => (images[1] as Tensor).copy_(images[0] as Tensor));
    const weights = randn([2, 12, 5, 4], options);
    const results = images.map((image, i) => {
      const made = i === 0 ? bn.forward(conv.forward(image)) : convBatchNorm(conv, bn, image);
      for (const parameter of [...conv.parameters(), ...bn.parameters()]) parameter.tensor.grad?.zero_();
      backward(made.mul(weights).sum());
      const learned = [...conv.parameters(), ...bn.parameters()].map(({ tensor }) => tensor.grad?.clone());
      return [made, image.grad, ...learned] as Tensor[];
    });
    expect(results[0]).toHaveLength(affine ? 5 : 3);
    for (const [i, want] of (results[0] as Tensor[]).entries())
      expect(largest(want, results[1]?.[i] as Tensor)).toBeLessThan(1e-12);
  });
});

test("a batch's statistics are used, and counted, where it trains", () => {
  scope(() => {
    manualSeed(5);
    const { conv, bn } = pair(1, true);
    bn.train();
    const made = convBatchNorm(conv, bn, randn([2, 8, 9, 7], options));
    expect(bn.numBatchesTracked?.tensor.item()).toBe(1);
    const own = made.sub((bn.bias as nn.Parameter).tensor.reshape([1, -1, 1, 1]));
    expect(Number(own.mean().abs().item())).toBeLessThan(1e-6);
  });
});
