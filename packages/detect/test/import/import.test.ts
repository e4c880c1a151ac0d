// sepc import: checkpoints with the official code's names become runs of ours.
import { writeFileSync } from "node:fs";
import { scope, type Tensor } from "@sepc/engine";
import { describe, expect, test } from "vitest";
import { buildDetector } from "../../src/detectors/index.js";
import { Detector } from "../../src/inference/detector.js";
import { preset } from "../../src/presets/index.js";
import { saveCheckpoint } from "../../src/train/checkpoint.js";
import { parseRunConfig, withSetting } from "../../src/train/config.js";
import { loadRun } from "../../src/train/loadRun.js";
import { sepcHere as sepc } from "../support/command.js";
import { fresh, narrow, official, sets, trained } from "./checkpoints.js";
import { officialNames } from "./officialNames.js";
import { saveTorch } from "./torchFile.js";

const classFile = fresh("names.txt");
writeFileSync(classFile, "cat\ndog\nowl\n");

const picture = {
  width: 72,
  height: 72,
  data: Uint8Array.from({ length: 72 * 72 * 3 }, (_, i) => (i * 7919 + (i >> 5) * 31) % 256),
};

const detectors = ["retinanet", "freeanchor", "fsaf"];
const towers = ["fpn", "pconv", "pconv-ibn", "sepc-lite", "sepc"];
const all = detectors.flatMap((detector) => towers.map((tower) => `${detector}_r18_${tower}_1x`));

describe("an official checkpoint", () => {
  test.each(all)("of %s finds the same boxes after its import", async (name) => {
    const { config, network } = trained(name, 3);
    const own = fresh("own.safetensors");
    saveCheckpoint(own, {
      model: network.stateDict(),
      ema: null,
      optimizer: null,
      progress: { epoch: 12, stepInEpoch: 0, step: 0, best: null },
      config,
      classes: ["cat", "dog", "owl"],
    });
    const out = fresh("run");
    const args = ["--preset", name, "--classes", classFile, "--out", out, ...sets, "--json"];
    const imported = await sepc("import", official(network), ...args);
    expect(imported, imported.err).toMatchObject({ code: 0 });
    expect(JSON.parse(imported.out)).toMatchObject({
      preset: name,
      matched: network.stateDict().size,
      missing: [],
      leftOver: [],
      misshaped: [],
      classes: 3,
    });
    const [before, after] = [await Detector.load(own), await Detector.load(out)];
    const found = await after.detect(picture, { scoreThreshold: 0.3 });
    expect(found.length).toBeGreaterThan(0);
    expect(found).toEqual(await before.detect(picture, { scoreThreshold: 0.3 }));
    for (const detector of [before, after]) detector.close();
  });

  test("of a deformable ResNeXt, with names of before version 1.0", async () => {
    const name = "retinanet_r50-dcn_fpn_1x";
    const more = ["--set", "model.backbone.groups=2", "--set", "model.backbone.widthPerGroup=8"];
    const base = [...narrow, "model.backbone.groups=2", "model.backbone.widthPerGroup=8"];
    const config = parseRunConfig(base.reduce<unknown>(withSetting, preset(name)));
    const network = buildDetector(config.model, 80);
    const file = fresh("old.pth");
    const old = [...officialNames(network.stateDict())].map(
      ([key, value]) => [`module.${key.replace("conv2.conv_offset", "conv2_offset")}`, value] as const,
    );
    scope(() => saveTorch(file, new Map(old), { format: "zip" }));
    const { code, err } = await sepc(
      "import",
      file,
      "--preset",
      name,
      "--out",
      fresh("run"),
      ...sets,
      ...more,
    );
    expect(err).toBe("");
    expect(code).toBe(0);
  });
});

/** Names of the convolutions that end a head: from {@link officialNames}'s, which are RetinaNet's, or ours. */
const HEADS: Readonly<Record<string, readonly (readonly [RegExp, string])[]>> = {
  fcos: [
    [/retina_/, "fcos_"],
    [/^head\.centerness\./, "bbox_head.fcos_centerness."],
    [/^head\.scales\.(\d+)$/, "bbox_head.scales.$1.scale"],
  ],
  atss: [
    [/retina_/, "atss_"],
    [/^head\.centerness\./, "bbox_head.atss_centerness."],
    [/^head\.scales\.(\d+)$/, "bbox_head.scales.$1.scale"],
  ],
  reppoints: [
    [/^head\.cls(Conv|Out)\./, "bbox_head.reppoints_cls_$1."],
    [/^head\.(init|refine)(Conv|Out)\./, "bbox_head.reppoints_pts_$1_$2."],
    [/^head\.momentTransfer$/, "bbox_head.moment_transfer"],
  ],
};

const headNames = (detector: string, key: string): string =>
  (HEADS[detector] ?? [])
    .reduce((name, [ours, theirs]) => name.replace(ours, theirs), key)
    .replace(/_(Conv|Out)\./, (part) => part.toLowerCase());

test.each(
  Object.keys(HEADS),
)("%s, whose convolutions have no bias before a normalisation, is taken too", async (detector) => {
  const name = `${detector}_r18_fpn_1x`;
  const { network } = trained(name, 80);
  const theirs = [...officialNames(network.stateDict())]
    .filter(([key]) => !/(cls|reg)_convs\.\d+\.conv\.bias$/.test(key))
    .map(([key, value]): [string, Tensor] => {
      const renamed = headNames(detector, key)
        .replace(/^tower\.(cls|box)\.norms\.(\d+)\./, (_, branch, i) => `bbox_head.${branch}_convs.${i}.gn.`)
        .replace("box_convs", "reg_convs");
      return [renamed, value];
    });
  const file = fresh(`${detector}.pth`);
  scope(() => saveTorch(file, new Map(theirs)));
  const out = fresh("run");
  const imported = await sepc("import", file, "--out", out, ...sets, "--json");
  expect(imported, imported.err).toMatchObject({ code: 0 });
  expect(JSON.parse(imported.out)).toMatchObject({ preset: name, matched: theirs.length, missing: [] });
  const state = loadRun(out).detector.stateDict();
  for (const [key, value] of network.stateDict()) {
    const want = /^tower.*convs\.\d+\.bias$/.test(key) ? value.mul(0) : value;
    expect(state.get(key)?.equal(want), key).toBe(true);
  }
});
