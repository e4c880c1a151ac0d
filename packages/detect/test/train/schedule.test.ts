import { ones, optim, scope } from "@sepc/engine";
import { describe, expect, test } from "vitest";
import { buildDetector, type DetectorNetwork } from "../../src/detectors/index.js";
import { preset } from "../../src/presets/index.js";
import { parseRunConfig, type RunConfig, withSetting } from "../../src/train/config.js";
import { buildOptimizer, buildSchedule } from "../../src/train/schedule.js";

function small(name: string, ...settings: string[]): { config: RunConfig; network: DetectorNetwork } {
  const sets = ["model.backbone.width=8", "model.neck.channels=32", "model.tower.depth=1", ...settings];
  const config = parseRunConfig(sets.reduce<unknown>(withSetting, preset(name)));
  return { config, network: buildDetector(config.model, 3) };
}

/** Names of the parameters in each group. */
function namesOf(network: DetectorNetwork, optimizer: optim.SGD | optim.AdamW): string[][] {
  const names = new Map([...network.namedParameters()].map(([name, parameter]) => [parameter, name]));
  return optimizer.groups.map(({ params }) => params.map((parameter) => names.get(parameter) as string));
}

describe("biases", () => {
  test("of FCOS's convolutions train at twice the rate without decay, its normalisations as all else", () => {
    const { config, network } = small("fcos_r18_fpn_1x");
    const optimizer = buildOptimizer(config.schedule, network);
    const [others, biases] = namesOf(network, optimizer) as [string[], string[]];
    expect(biases).toEqual(expect.arrayContaining(["head.cls.bias", "tower.cls.convs.0.bias"]));
    expect(biases.every((name) => name.endsWith(".bias"))).toBe(true);
    expect(others).toEqual(expect.arrayContaining(["backbone.layer4.0.bn1.bias", "tower.cls.norms.0.bias"]));
    expect(others.filter((name) => /(head|neck|convs)\..*bias$/.test(name))).toEqual([]);
    expect(optimizer.groups.map(({ options: { lr, weightDecay } }) => [lr, weightDecay])).toEqual([
      [0.01, 1e-4],
      [0.02, 0],
    ]);
    const scheduler = new optim.Scheduler(optimizer, buildSchedule(config.schedule, 100));
    expect(scheduler.rates[1]).toBeCloseTo(0.02 / 3, 12);
    scheduler.goTo(800);
    expect(scheduler.rates.map((rate) => rate.toPrecision(6))).toEqual(["0.00100000", "0.00200000"]);
  });

  test.each([
    "retinanet_r18_fpn_1x",
    "freeanchor_r18_sepc_1x",
    "fsaf_r18_sepc-lite_1x",
  ])("of %s train as all else", (name) => {
    const { config, network } = small(name);
    expect(buildOptimizer(config.schedule, network).groups).toHaveLength(1);
  });

  test("can be told otherwise, and then move so", () => {
    scope(() => {
      const { config, network } = small(
        "retinanet_r18_fpn_1x",
        "schedule.biasFactors.lr=0",
        "schedule.weightDecay=0",
      );
      const optimizer = buildOptimizer(config.schedule, network);
      const parameters = new Map(network.namedParameters());
      const moved = (name: string): number => {
        const parameter = parameters.get(name);
        if (parameter === undefined) throw new Error(name);
        const before = parameter.tensor.detach().clone();
        parameter.tensor.grad = ones(parameter.shape);
        optimizer.step();
        parameter.tensor.grad = null;
        return parameter.tensor.detach().sub(before).abs().max().item();
      };
      expect(moved("head.cls.bias")).toBe(0);
      expect(moved("head.cls.weight")).toBeCloseTo(0.01, 6);
    });
  });

  test("with a factor below zero are refused by path", () => {
    expect(() => small("fcos_r18_fpn_1x", "schedule.biasFactors.lr=-1")).toThrow(/schedule\.biasFactors\.lr/);
  });
});
