// sepc import: checkpoints with the official code's names become runs of ours.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { io, manualSeed, noGrad, randn, scope, type Tensor, tensor } from "@sepc/engine";
import { afterAll, describe, expect, test, vi } from "vitest";
import { run } from "../../src/cli/main.js";
import { COCO_CLASSES } from "../../src/data/datasets/cocoClasses.js";
import { buildDetector, type DetectorNetwork } from "../../src/detectors/index.js";
import { Detector } from "../../src/inference/detector.js";
import { preset } from "../../src/presets/index.js";
import { saveCheckpoint } from "../../src/train/checkpoint.js";
import { parseRunConfig, type RunConfig, withSetting } from "../../src/train/config.js";
import { loadRun } from "../../src/train/loadRun.js";
import { officialNames } from "./officialNames.js";
import { saveTorch } from "./torchFile.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-import-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const fresh = (name: string): string => join(folder, `${++count}-${name}`);

async function sepc(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: "", err: "" };
  const spies = (["out", "err"] as const).map((end) =>
    vi.spyOn(process[`std${end}`], "write").mockImplementation((text) => {
      said[end] += text;
      return true;
    }),
  );
  try {
    return { code: await run(args), ...said };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

const narrow = [
  "model.backbone.width=8",
  "model.neck.channels=8",
  "model.tower.depth=2",
  "input.testScale=[288,288]",
];
const sets = narrow.flatMap((setting) => ["--set", setting]);

/** A narrow network of the official code's conventions, with weights and statistics as if trained. */
function trained(name: string, classes: number): { config: RunConfig; network: DetectorNetwork } {
  const base = preset(name);
  const pyramid = base.model.tower.kind !== "plain";
  const conventions = ["model.legacyBoxes=true", `model.tower.extraPadding=${pyramid ? 0 : 1}`];
  const config = parseRunConfig([...narrow, ...conventions].reduce<unknown>(withSetting, base));
  manualSeed(7);
  const network = buildDetector(config.model, classes);
  noGrad(() =>
    scope(() => {
      for (const [key, value] of network.stateDict()) {
        if (key.endsWith("running_var")) value.copy_(randn(value.shape).mul(0.1).exp());
        else if (key.startsWith("head.cls")) value.copy_(randn(value.shape).mul(0.3));
        else if (/\.(bias|running_mean)$|conv_offset/.test(key)) value.add_(randn(value.shape).mul(0.1));
      }
    }),
  );
  return { config, network };
}

type Meta = NonNullable<Parameters<typeof saveTorch>[2]>;

/** Writes a network as the official code would; returns the file. */
function official(network: DetectorNetwork, meta: Meta = {}): string {
  const file = fresh("checkpoint.pth");
  scope(() => saveTorch(file, officialNames(network.stateDict()), meta));
  return file;
}

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
    scope(() => saveTorch(file, new Map(old)));
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

describe("class names", () => {
  test("are COCO's for 80 classes without names, and for mmdetection's spelling of them", async () => {
    const { network } = trained("fsaf_r18_fpn_1x", 80);
    const spelt = COCO_CLASSES.map((name) => name.replaceAll(" ", "_"));
    const told: Meta = { CLASSES: spelt, epoch: 12, iter: 87960 };
    for (const meta of [{}, told]) {
      const out = fresh("run");
      const args = ["--preset", "fsaf_r18_fpn_1x", "--out", out, ...sets];
      expect(await sepc("import", official(network, meta), ...args)).toMatchObject({
        code: 0,
        out: expect.stringMatching(/tensors matched, none missing\n {2}80 classes/),
      });
      const { classes, config, detector } = loadRun(out);
      expect(classes).toEqual(COCO_CLASSES);
      expect(classes.slice(9, 12)).toEqual(["traffic light", "fire hydrant", "stop sign"]);
      expect(config.classes).toEqual(COCO_CLASSES);
      detector.free();
    }
  });

  test("are the checkpoint's own", async () => {
    const { network } = trained("fsaf_r18_fpn_1x", 3);
    const out = fresh("run");
    const file = official(network, { CLASSES: ["tomcat", "sheep_dog", "owl"] });
    await sepc("import", file, "--preset", "fsaf_r18_fpn_1x", "--out", out, ...sets);
    expect(loadRun(out).classes).toEqual(["tomcat", "sheep_dog", "owl"]);
  });

  test("must be given where nobody knows them, as many as there are", async () => {
    const { network } = trained("fsaf_r18_fpn_1x", 2);
    const args = ["import", official(network), "--preset", "fsaf_r18_fpn_1x", "--out", fresh("run"), ...sets];
    expect(await sepc(...args)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/tells 2 classes apart .*--classes FILE/s),
    });
    expect(await sepc(...args, "--classes", classFile)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/names\.txt: the checkpoint tells 2 classes apart, the file names 3/),
    });
  });
});

describe("the preset", () => {
  test("is told from the file where only one fits", async () => {
    const { network } = trained("fsaf_r18_pconv-ibn_1x", 80);
    const out = fresh("run");
    const { code, out: said } = await sepc("import", official(network), "--out", out, ...sets, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(said)).toMatchObject({ preset: "fsaf_r18_pconv-ibn_1x" });
  });

  test("must be named where several fit", async () => {
    const { network } = trained("freeanchor_r18_sepc_1x", 80);
    expect(await sepc("import", official(network), "--out", fresh("run"), ...sets)).toMatchObject({
      code: 1,
      err: expect.stringContaining("one of retinanet_r18_sepc_1x, freeanchor_r18_sepc_1x"),
    });
    const config = "model = dict(\n    bbox_head=dict(type='SepcFreeAnchorRetinaHead',\n    num_classes=81))";
    const told = await sepc(
      "import",
      official(network, { config }),
      "--out",
      fresh("run"),
      ...sets,
      "--json",
    );
    expect(JSON.parse(told.out)).toMatchObject({ preset: "freeanchor_r18_sepc_1x" });
  });

  test("that does not fit is refused with the one that would; nothing is written", async () => {
    const { network } = trained("retinanet_r18_sepc_1x", 80);
    const out = fresh("run");
    const refused = await sepc(
      "import",
      official(network),
      "--preset",
      "retinanet_r18_sepc-lite_1x",
      "--out",
      out,
      ...sets,
    );
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toMatch(
      /does not fit preset retinanet_r18_sepc-lite_1x:\n.*of no place here: 12 \(neck\.1/,
    );
    expect(refused.err).toContain("retinanet_r18_sepc_1x or freeanchor_r18_sepc_1x");
    expect(existsSync(out)).toBe(false);
  });

  test("of another detector with the same network is refused", async () => {
    const { network } = trained("freeanchor_r18_pconv_1x", 80);
    const file = official(network, { config: "bbox_head=dict(type='SepcFreeAnchorRetinaHead')" });
    const { code, err } = await sepc(
      "import",
      file,
      "--preset",
      "retinanet_r18_pconv_1x",
      "--out",
      fresh("run"),
      ...sets,
    );
    expect(code).toBe(1);
    expect(err).toMatch(/trained with SepcFreeAnchorRetinaHead.*--preset freeanchor_r18_pconv_1x/s);
  });
});

describe("refused by name", () => {
  test("are files that are no checkpoint of mmdetection, and folders that hold a run", async () => {
    const name = ["--preset", "retinanet_r18_fpn_1x"];
    expect(await sepc("import", join(folder, "none.pth"), ...name, "--out", fresh("run"))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/none\.pth: there is no such checkpoint/),
    });
    const other = fresh("other.pth");
    const plain = fresh("other.safetensors");
    const state = new Map<string, Tensor>([["fc.weight", tensor([1, 2])]]);
    saveTorch(other, state);
    io.writeSafetensors(plain, state);
    for (const file of [other, plain]) {
      const { code, err } = await sepc("import", file, ...name, "--out", fresh("run"));
      expect(code).toBe(1);
      expect(err).toMatch(/other\.\w+: expected a one-stage detector's checkpoint .*fc\.weight/);
      expect(err).not.toContain("    at ");
    }
    const { network } = trained("fsaf_r18_fpn_1x", 80);
    const out = fresh("run");
    const args = ["import", official(network), "--preset", "fsaf_r18_fpn_1x", "--out", out, ...sets];
    expect(await sepc(...args)).toMatchObject({ code: 0 });
    expect(await sepc(...args)).toMatchObject({
      code: 1,
      err: expect.stringContaining("there is a run already"),
    });
    expect(JSON.parse(readFileSync(join(out, "import.json"), "utf8"))).toMatchObject({ detector: "fsaf" });
  });
});
