import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readConfigFile } from "../../src/cli/configFile.js";
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
    ["schedule.epocs=3", /schedule\.epocs: there is no such setting/],
    ["schedule.epochs=-1", /schedule\.epochs: expected number to be >0, got -1/],
    ["model.tower.kind=sepcc", /model\.tower\.kind: expected one of .*"sepc".*, got "sepcc"/],
    ["model.detector=yolo", /model\.detector: expected one of retinanet.*, got "yolo"/],
    ["model.backbone.depth=20", /model\.backbone\.depth: expected one of 18\|34\|50\|101, got 20/],
    ["model.assigner.negativeIou=high", /negativeIou: expected a number from 0 to 1, or two, got "high"/],
    ["input.mean=[1,2]", /input\.mean/],
  ])("%s is refused with the path to it", (assignment, message) => {
    expect(() => parseRunConfig(withSetting(base, assignment))).toThrow(message);
  });

  test("are refused all at once, those of the model too", () => {
    const wrong = withSetting(withSetting(base, "schedule.lr=-1"), "model.backbone.wdth=3");
    expect(() => parseRunConfig(wrong, "mine")).toThrow(/mine: model\.backbone\.wdth.*\nmine: schedule\.lr/);
  });

  test.each(["nonsense", "nowhere.at.all=1"])("%s is no assignment", (assignment) => {
    expect(() => withSetting(base, assignment)).toThrow(/--set/);
  });
});

describe("a configuration file", () => {
  const folder = mkdtempSync(join(tmpdir(), "sepc-config-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const changes = '{ preset: "retinanet_small_fpn", schedule: { epochs: 3 }, input: { scales: [[96, 96]] } }';

  test.each([
    ["a.ts", `interface A { a: 1 }\nexport default ${changes} as const;`],
    ["a.mjs", `export default ${changes};`],
    ["a.json", changes.replace(/(\w+):/g, '"$1":')],
  ])("%s starts from a preset and changes what it names", async (name, text) => {
    const config = parseRunConfig(await readConfigFile(file(name, text)));
    const base = preset("retinanet_small_fpn");
    expect(config).toEqual({
      ...base,
      schedule: { ...base.schedule, epochs: 3 },
      input: { ...base.input, scales: [[96, 96]] },
    });
    expect(readdirSync(folder).filter((entry) => entry.startsWith("."))).toEqual([]);
  });

  test.each([
    ["b.ts", "const a = 1;\nexport default { a: };", /b\.ts: line 2: /],
    ["b.mjs", "export const a = 1;", /b\.mjs: expected a default export/],
    ["b.json", "{", /b\.json: .*JSON/],
    ["c.json", '{ "preset": "retinanet_smal" }', /c\.json: preset "retinanet_smal": .*nearest: retinanet_/],
  ])("%s is refused with its name: %s", async (name, text, message) => {
    await expect(readConfigFile(file(name, text))).rejects.toThrow(message);
  });

  test("that is not there is said so", async () => {
    await expect(readConfigFile(join(folder, "none.json"))).rejects.toThrow(/no such configuration file/);
  });
});
