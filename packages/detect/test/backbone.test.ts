import { backward, manualSeed, type nn, noGrad, randn, scope, type Tensor } from "@sepc/engine";
import { describe, expect, test } from "vitest";
import { countFlops } from "../src/analysis/flops.js";
import { parseDetector } from "../src/detectors/index.js";
import { ResNet, type ResNetConfig } from "../src/models/backbones/resnet.js";

const largest = (a: Tensor, b: Tensor): number => a.sub(b).abs().max().item();

const narrow = (more: Partial<ResNetConfig>): ResNetConfig => ({
  depth: 50,
  width: 8,
  blocks: [1, 2, 1, 1],
  ...more,
});

const grouped = { width: 16, groups: 4, widthPerGroup: 4 };

describe("deformable stages", () => {
  test.each([
    ["ResNet", {}],
    ["ResNet, style caffe", { style: "caffe" }],
    ["ResNeXt", grouped],
  ] as const)("of a %s start as the plain ones whose weights they take", (_, more) => {
    scope(() => {
      manualSeed(5);
      const plain = new ResNet(narrow(more)).eval();
      const deformable = new ResNet(narrow({ ...more, deformableStages: ["c3", "c5"] })).eval();
      const { missing, unexpected, misshaped } = deformable.loadPartial(plain.stateDict());
      const offsets = ["layer2.0", "layer2.1", "layer4.0"].flatMap((block) =>
        ["weight", "bias"].map((part) => `${block}.conv2.conv_offset.${part}`),
      );
      expect(missing.sort()).toEqual(offsets.sort());
      expect([...unexpected, ...misshaped]).toEqual([]);
      const image = randn([1, 3, 64, 96]);
      const [want, got] = [plain.forward(image), deformable.forward(image)];
      for (const [i, map] of want.entries()) expect(largest(got[i] as Tensor, map)).toBeLessThan(1e-4);
    });
  });

  test("move their samples with their offsets, and learn them", () => {
    scope(() => {
      manualSeed(6);
      const net = new ResNet(narrow({ ...grouped, deformableStages: ["c4"] }));
      const image = randn([1, 3, 64, 64]);
      const before = net.eval().forward(image);
      const offset = new Map(net.namedParameters()).get("layer3.0.conv2.conv_offset.bias") as nn.Parameter;
      noGrad(() => offset.tensor.fill_(0.5));
      const after = net.forward(image);
      expect(largest(after[1] as Tensor, before[1] as Tensor)).toBe(0);
      expect(largest(after[2] as Tensor, before[2] as Tensor)).toBeGreaterThan(1e-3);
      backward((after[2] as Tensor).square().sum());
      expect(offset.grad?.abs().max().item()).toBeGreaterThan(0);
    });
  });

  test("are refused on a ResNet without bottlenecks, with the way to the setting", () => {
    const model = (backbone: object): unknown => ({
      detector: "retinanet",
      backbone,
      tower: { kind: "plain" },
    });
    expect(() => parseDetector(model({ depth: 18, deformableStages: ["c5"] }))).toThrow(
      /backbone\.deformableStages[\s\S]*bottlenecks/,
    );
    expect(() => parseDetector(model({ depth: 50, deformableStages: ["c6"] }))).toThrow(
      /deformableStages\[0\]/,
    );
    expect(() => new ResNet({ depth: 34, deformableStages: ["c3"] })).toThrow(/got depth 34/);
  });

  test("cost their offsets and 8 for each sample", () => {
    const cost = (backbone: object) =>
      countFlops(parseDetector({ detector: "retinanet", backbone, tower: { kind: "plain" } }));
    const [plain, deformable] = [cost({ depth: 50 }), cost({ depth: 50, deformableStages: ["c5"] })];
    const cells = 40 * 40;
    expect(deformable.multiplyAdds - plain.multiplyAdds).toBe(3 * 512 * 9 * (18 + 8) * cells);
    expect(deformable.parameters - plain.parameters).toBe(3 * 18 * (512 * 9 + 1));
  });
});
