import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromTypedArray, full, io, ones, type Tensor, zeros } from "@sepc/engine";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..", "..");
const shared = join(root, "..", "shared", "golden");
const program = join(root, "packages", "detect", "dist", "golden", "main.js");

function replay(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
  return { code: status, out: stdout, err: stderr };
}

describe.skipIf(!existsSync(shared) && !process.env.CI)("the paper's official code", () => {
  const kinds = [
    "deform_conv_v1",
    "deform_conv_v2",
    "dcn_pack",
    "bn_variants",
    "pconv_module",
    "sepc_neck",
    "backbone",
    "head_forward",
    "elem_losses",
    "atss_loss",
    "reppoints_head_forward",
    "reppoints_loss",
    "reppoints_get_bboxes",
  ];

  test.each(kinds)("%s: outputs, gradients and running statistics agree", (kind) => {
    const { code, out } = replay(shared, kind);
    expect(out).toMatch(/\n?\d+ passed, 0 failed\n$/);
    expect(code).toBe(0);
  });
});

describe("folders that are none", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "golden-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("say what is missing", () => {
    expect(replay(join(folder, "nowhere"))).toMatchObject({
      code: 2,
      err: expect.stringContaining("manifest.json"),
    });
    expect(replay()).toMatchObject({ code: 2, err: expect.stringContaining("usage") });
  });

  test("an unknown kind is named; a case without its file fails", () => {
    const one = { name: "x", kind: "magic", file: "x.safetensors", hyper_parameters: {}, tolerances: {} };
    const two = { ...one, name: "y", kind: "pconv_module" };
    writeFileSync(join(folder, "manifest.json"), JSON.stringify({ cases: [one, two] }));
    const { code, out } = replay(folder);
    expect(out).toContain("not known yet: magic (1 case)");
    expect(out).toMatch(/y +FAILED .*x\.safetensors/);
    expect(out).toMatch(/0 passed, 1 failed\n$/);
    expect(code).toBe(1);
  });

  const entry = {
    name: "x",
    kind: "pconv_module",
    file: "x.safetensors",
    hyper_parameters: {},
    tolerances: {},
  };

  test.each([
    ["null", "expected a list"],
    ['{"cases": [7]}', "cases[0]: expected an object, got 7"],
    ['{"cases": [{"name": "x", "file": 3}]}', "cases[0].file: expected a text, got 3"],
    [JSON.stringify({ cases: [{ ...entry, tolerances: null }] }), "cases[0].tolerances: expected an object"],
    ['{"cases": [', "manifest.json: "],
    ['{"cases": []}', "no case in it"],
  ])("a manifest of %s is refused in one line", (manifest, fault) => {
    writeFileSync(join(folder, "manifest.json"), manifest);
    const { code, err } = replay(folder);
    expect(code).toBe(2);
    expect(err).toContain(fault);
    expect(err.trim().split("\n")).toHaveLength(1);
  });

  test("a truncated file, settings that are none and a case without results fail with what is wrong", () => {
    const cases = ["cut", "size", "kept"].map((name) => ({ ...entry, name, file: `${name}.safetensors` }));
    Object.assign(cases[1] as object, { kind: "bn_variants", hyper_parameters: { mode: "ibn" } });
    writeFileSync(join(folder, "manifest.json"), JSON.stringify({ cases }));
    for (const { file } of cases) io.writeSafetensors(join(folder, file), new Map([["in/x0", ones([1])]]));
    const whole = readFileSync(join(folder, "kept.safetensors"));
    writeFileSync(join(folder, "cut.safetensors"), whole.subarray(0, whole.length - 2));
    const { code, out } = replay(folder);
    expect(out).toMatch(/^cut +FAILED .*cut\.safetensors/m);
    expect(out).toMatch(/^size +FAILED {2}hyper-parameter C: expected a number, got undefined$/m);
    expect(out).toMatch(/^kept +FAILED {2}the case has no tensor param\/Pconv\.0\.weight$/m);
    expect(out).toMatch(/0 passed, 3 failed\n$/);
    expect(code).toBe(1);
    expect(replay(folder, "nothing")).toMatchObject({ code: 2, err: expect.stringContaining("of nothing") });
  });
});

describe("settings", () => {
  const folder = mkdtempSync(join(tmpdir(), "golden-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const tolerances = { out: { rtol: 1e-4, atol: 2e-5 } };

  function made(kind: string, hyper_parameters: object, tensors: Record<string, Tensor>): string {
    io.writeSafetensors(join(folder, "one.safetensors"), new Map(Object.entries(tensors)));
    const cases = [{ name: "one", kind, file: "one.safetensors", hyper_parameters, tolerances }];
    writeFileSync(join(folder, "manifest.json"), JSON.stringify({ cases }));
    return replay(folder).out;
  }

  test("one that changes results and is not followed makes the case not known", () => {
    const out = made("pconv_module", { C: 1, sizes: [[1, 1]], groups: [2, 2, 2] }, { "out/y0": ones([1]) });
    expect(out).toContain("not known yet: pconv_module of groups [2,2,2] (1 case)");
  });

  // Two cells, each with a box of 4 x 4 pixels around its point.
  const two = {
    "in/cls_score0": fromTypedArray(Float32Array.of(0, 1), [1, 1, 1, 2]),
    "in/bbox_pred0": full([1, 4, 1, 2], 2),
    "in/centerness0": full([1, 1, 1, 2], 40),
    "out/det_labels0": zeros([2], { dtype: "int64" }),
  };
  const settings = {
    num_classes: 2,
    strides: [8],
    sizes: [[1, 2]],
    img_shapes: [[8, 16, 3]],
    test_cfg: { score_thr: 0.05, nms: { iou_thr: 0.5 }, max_per_img: 2 },
  };
  const first = [2, 2, 6, 6, 0.5];
  const second = [10, 2, 14, 6, 1 / (1 + Math.exp(-1))];
  const rows = (...all: number[][]): Tensor => fromTypedArray(Float32Array.from(all.flat()), [all.length, 5]);

  test("objects within the limit come as they stand, not by score", () => {
    expect(made("fcos_get_bboxes", settings, { ...two, "out/det_bboxes0": rows(first, second) })).toContain(
      "1 passed, 0 failed",
    );
  });

  test("objects over the limit come best first", () => {
    const test_cfg = { ...settings.test_cfg, max_per_img: 1 };
    const out = { "out/det_labels0": zeros([1], { dtype: "int64" }), "out/det_bboxes0": rows(second) };
    expect(made("fcos_get_bboxes", { ...settings, test_cfg }, { ...two, ...out })).toContain(
      "1 passed, 0 failed",
    );
  });

  test("a deformable convolution has a bias or none", () => {
    const tensors = {
      "in/x": ones([1, 1, 1, 1]),
      "in/weight": full([1, 1, 1, 1], 3),
      "in/offset": zeros([1, 2, 1, 1]),
      "out/y": full([1, 1, 1, 1], 3),
    };
    expect(made("deform_conv_v1", {}, tensors)).toContain("1 passed, 0 failed");
    const biased = { ...tensors, "in/bias": ones([1]), "out/y": full([1, 1, 1, 1], 4) };
    expect(made("deform_conv_v1", {}, biased)).toContain("1 passed, 0 failed");
  });
});
