import { describe, expect, test } from "vitest";
import { preset, presetNames } from "../../src/presets/index.js";
import { parseRunConfig, withSetting } from "../../src/train/config.js";

describe("presets", () => {
  test("are all complete configurations", () => {
    expect(presetNames.length).toBeGreaterThan(70);
    for (const name of presetNames) expect(parseRunConfig(preset(name))).toEqual(preset(name));
  });

  test("have the paper's settings", () => {
    const config = preset("retinanet_r50_sepc-lite_1x");
    expect(config.schedule).toMatchObject({
      epochs: 12,
      milestones: [8, 11],
      lr: 0.01,
      momentum: 0.9,
      weightDecay: 1e-4,
      clip: 35,
      warmup: { steps: 500, from: 1 / 3 },
    });
    expect(config.input).toMatchObject({ scales: [[1333, 800]], flip: 0.5 });
    expect(config.model).toMatchObject({
      backbone: { depth: 50, frozenStages: 2, normEval: true },
      tower: { kind: "sepc-lite", norm: "integrated", depth: 4 },
      postprocess: { perLevel: 1000, scoreThreshold: 0.05, iouThreshold: 0.5, maxPerImage: 100 },
    });
  });

  test("of ATSS have its paper's settings", () => {
    expect(preset("atss_r50_fpn_1x")).toMatchObject({
      model: {
        neck: { extraFrom: "p5" },
        tower: { kind: "plain", norm: "group", depth: 4 },
        anchorSide: 8,
        assigner: { candidates: 9 },
        coder: { stds: [0.1, 0.1, 0.2, 0.2] },
        boxWeight: 2,
        postprocess: { iouThreshold: 0.6 },
      },
      schedule: { clip: 35, lr: 0.01 },
    });
    expect(preset("atss_small_sepc").model).toMatchObject({
      neck: { extraFrom: "p5" },
      postprocess: { iouThreshold: 0.6 },
    });
  });

  test("of RepPoints have its authors' settings", () => {
    expect(preset("reppoints_r50_fpn_1x")).toMatchObject({
      model: {
        neck: { extraFrom: "c5" },
        tower: { kind: "plain", norm: "group", depth: 3 },
        boxFrom: "moment",
        assigner: { positiveIou: 0.5, negativeIou: 0.4, minPositiveIou: 0 },
        beta: 0.11,
        initWeight: 0.5,
        refineWeight: 1,
        postprocess: { iouThreshold: 0.5 },
      },
      schedule: { clip: 35, lr: 0.01 },
    });
  });

  test("a wrong name is told the nearest", () => {
    expect(() => preset("retinanet_r50_sepclite_1x")).toThrow(/retinanet_r50_.*_1x/);
  });
});

describe("settings", () => {
  const base = preset("retinanet_small_fpn");

  test("change by path", () => {
    const changed = withSetting(withSetting(base, "schedule.epochs=3"), "input.scales=[[96,96]]");
    expect(parseRunConfig(changed)).toMatchObject({ schedule: { epochs: 3 }, input: { scales: [[96, 96]] } });
    expect(base.schedule.epochs).not.toBe(3);
  });

  test.each([
    ["schedule.epocs=3", /epocs[\s\S]*schedule/],
    ["schedule.epochs=-1", /epochs/],
    ["model.tower.kind=sepcc", /tower\.kind/],
    ["model.detector=yolo", /expected one of retinanet/],
    ["input.mean=[1,2]", /input\.mean/],
  ])("%s is refused with the path to it", (assignment, message) => {
    expect(() => parseRunConfig(withSetting(base, assignment))).toThrow(message);
  });

  test.each(["nonsense", "nowhere.at.all=1"])("%s is no assignment", (assignment) => {
    expect(() => withSetting(base, assignment)).toThrow(/--set/);
  });
});
