// What sepc import asks for, tells from the file, and refuses.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { io, type Tensor, tensor } from "@sepc/engine";
import { describe, expect, test } from "vitest";
import { COCO_CLASSES } from "../../src/data/datasets/cocoClasses.js";
import { loadRun } from "../../src/train/loadRun.js";
import { sepcHere as sepc } from "../support/command.js";
import { fresh, official, sets, trained } from "./checkpoints.js";
import { saveTorch, type TorchFile } from "./torchFile.js";

const classFile = fresh("names.txt");
writeFileSync(classFile, "cat\ndog\nowl\n");

test("a checkpoint of mmdetection 2 is taken only with its own conventions of boxes", async () => {
  const { network } = trained("retinanet_r18_fpn_1x", 80);
  const file = official(network, { mmdet_version: "2.25.0+unknown" });
  const args = ["import", file, "--preset", "retinanet_r18_fpn_1x", "--out", fresh("run"), ...sets];
  expect(await sepc(...args)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/mmdetection 2\.25\.0.*--set model\.legacyBoxes=false/s),
  });
  expect(await sepc(...args, "--set", "model.legacyBoxes=false")).toMatchObject({ code: 0 });
});

describe("class names", () => {
  test("are COCO's for 80 classes without names, and for mmdetection's spelling of them", async () => {
    const { network } = trained("fsaf_r18_fpn_1x", 80);
    const spelt = COCO_CLASSES.map((name) => name.replaceAll(" ", "_"));
    const told: TorchFile["meta"] = { CLASSES: spelt, epoch: 12, iter: 87960 };
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
    expect(await sepc("import", fresh("none.pth"), ...name, "--out", fresh("run"))).toMatchObject({
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
